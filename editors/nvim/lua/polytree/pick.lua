--- Choosing a session, an agent, a model or a variant with `vim.ui.select`.
local client = require("polytree.daemon.client")
local config = require("polytree.config")
local log = require("polytree.log")
local prompt = require("polytree.prompt")
local render = require("polytree.conversation.render")
local workspace = require("polytree.daemon.workspace")

local M = {}

---@param time integer milliseconds since 1970
---@return string
local function age(time)
  local seconds = math.max(0, os.time() - math.floor(time / 1000))
  if seconds < 60 then
    return "now"
  elseif seconds < 3600 then
    return ("%d min"):format(seconds / 60)
  elseif seconds < 86400 then
    return ("%d h"):format(seconds / 3600)
  end
  return ("%d d"):format(seconds / 86400)
end

---@param session table
---@return string
local function session_line(session)
  local status = workspace.statuses[session.id]
  local mark = not status and " " or status.type == "waiting" and "?" or "●"
  local title = session.title ~= "" and session.title:gsub("%c", " ") or "untitled"
  local where = session.directory ~= client.directory() and ("  " .. vim.fn.fnamemodify(session.directory, ":~")) or ""
  local branch = session.branch and ("  " .. session.branch) or ""
  return ("%s %s  %s  %s%s%s"):format(mark, title, age(session.time.updated), render.cost(session.cost), branch, where)
end

---@param sessions table[]
---@param done fun(session: table)
local function choose_session(sessions, done)
  if #sessions == 0 then
    return log.notify("there is no session yet; :Polytree prompt begins one")
  end
  vim.ui.select(
    sessions,
    { prompt = "Session", format_item = session_line, kind = "polytree_session" },
    function(session)
      if session then
        done(session)
      end
    end
  )
end

--- Chooses a session of the project, or of all projects.
---@param done fun(session: table)
---@param is_all? boolean
function M.session(done, is_all)
  workspace.open(function()
    if not is_all then
      return choose_session(workspace.list(), done)
    end
    client.request("session.list", { scope = "all", limit = 500 }, function(sessions)
      choose_session(
        vim.tbl_filter(function(session)
          return not session.parentID and not session.time.archived
        end, sessions),
        function(session)
          -- Its questions are ours from now on.
          workspace.sessions[session.id] = session
          done(session)
        end
      )
    end)
  end)
end

--- Goes on in another directory: Neovim's working directory, and the sessions that are shown.
---@param directory string
local function move(directory)
  vim.cmd.cd(vim.fn.fnameescape(directory))
  config.values.directory = nil
  workspace.leave()
  client.restart(function()
    workspace.open(function()
      log.notify("in " .. vim.fn.fnamemodify(directory, ":~"))
    end)
  end)
end

--- Chooses a checkout of the repository, and goes on there.
function M.worktree()
  client.request("vcs.get", { directory = client.directory() }, function(vcs)
    vim.ui.select(vcs.worktrees, {
      prompt = "Worktree",
      kind = "polytree_worktree",
      format_item = function(checkout)
        local here = checkout.directory == client.directory() and "● " or "  "
        return ("%s%s  %s"):format(here, vim.fn.fnamemodify(checkout.directory, ":~"), checkout.branch or "no branch")
      end,
    }, function(checkout)
      if checkout then
        move(checkout.directory)
      end
    end)
  end)
end

--- Chooses a project that the daemon knows, and goes on there.
function M.project()
  client.request("project.list", {}, function(projects)
    vim.ui.select(projects, {
      prompt = "Project",
      kind = "polytree_project",
      format_item = function(project)
        return vim.fn.fnamemodify(project.worktree, ":~")
      end,
    }, function(project)
      if project then
        move(project.worktree)
      end
    end)
  end)
end

--- Sets what the next prompts of the current session use, or those of the next session where there is none.
---@param choice { agent?: string, model?: polytree.protocol.ModelRef, variant?: string }
---@param words string
local function choose(choice, words)
  workspace.open(function()
    local id = require("polytree").current_session()
    if not id then
      prompt.choice = vim.tbl_extend("force", prompt.choice, choice)
      if choice.model and not choice.variant then
        prompt.choice.variant = nil
      end
      return log.notify("the next session uses " .. words)
    end
    client.request("session.update", vim.tbl_extend("force", { sessionID = id }, choice), function()
      log.notify("the session uses " .. words)
    end)
  end)
end

--- Sets the agent by name.
---@param name string
function M.set_agent(name)
  choose({ agent = name }, "the agent " .. name)
end

--- Chooses the agent.
function M.agent()
  client.request("agent.list", { directory = client.directory() }, function(agents)
    agents = vim.tbl_filter(function(agent)
      return agent.mode ~= "subagent"
    end, agents)
    vim.ui.select(agents, {
      prompt = "Agent",
      kind = "polytree_agent",
      format_item = function(agent)
        return agent.name .. (agent.description and ("  " .. agent.description) or "")
      end,
    }, function(agent)
      if agent then
        M.set_agent(agent.name)
      end
    end)
  end)
end

--- Sets the model by name: "provider/model", and its variant behind a space.
---@param name string
function M.set_model(name)
  local variant = name:match("%s(%S+)$")
  name = name:match("^%S+") or ""
  local provider, id = name:match("^([^/]+)/(.+)$")
  if not provider then
    return log.notify(('"%s" is no model: write provider/model'):format(name), vim.log.levels.ERROR)
  end
  client.request("model.list", { directory = client.directory() }, function(models)
    for _, model in ipairs(models) do
      if model.providerID == provider and model.modelID == id then
        local words = variant and name .. " " .. variant or name
        return choose({ model = { providerID = provider, modelID = id }, variant = variant }, words)
      end
    end
    log.notify(
      ('there is no model "%s"; :Polytree model shows those that can be used'):format(name),
      vim.log.levels.ERROR
    )
  end)
end

--- Chooses the model, then its variant where it has some.
function M.model()
  client.request("model.list", { directory = client.directory() }, function(models)
    if #models == 0 then
      return log.notify("no model can be used; `polytree models` says why", vim.log.levels.WARN)
    end
    vim.ui.select(models, {
      prompt = "Model",
      kind = "polytree_model",
      format_item = function(model)
        return ("%s/%s"):format(model.providerID, model.modelID)
      end,
    }, function(model)
      if not model then
        return
      end
      local chosen = { model = { providerID = model.providerID, modelID = model.modelID } }
      local name = ("%s/%s"):format(model.providerID, model.modelID)
      local variants = model.info.variants or {}
      if #variants == 0 then
        return choose(chosen, name)
      end
      local choices = { "default" }
      vim.list_extend(choices, variants)
      vim.ui.select(choices, { prompt = "Variant", kind = "polytree_variant" }, function(variant)
        if variant then
          chosen.variant = variant ~= "default" and variant or nil
          choose(chosen, chosen.variant and name .. " " .. variant or name)
        end
      end)
    end)
  end)
end

---@type { name: polytree.protocol.Mode, about: string }[]
M.MODES = {
  { name = "ask", about = "asks for all that the rules do not allow" },
  { name = "edits", about = "edits in the worktree, and commands in the sandbox, without a question" },
  { name = "all", about = "everything without a question, but for what is denied" },
}

--- Sets the mode of the current session, or of the next one where there is none.
---@param name string
function M.set_mode(name)
  local known = vim.iter(M.MODES):any(function(mode)
    return mode.name == name
  end)
  if not known then
    return log.notify(('there is no mode "%s": write ask, edits or all'):format(name), vim.log.levels.ERROR)
  end
  workspace.open(function()
    local id = require("polytree").current_session()
    if not id then
      prompt.choice.mode = name
      return log.notify("mode of the next session: " .. name)
    end
    -- A child has the mode of its root.
    while workspace.sessions[id] and workspace.sessions[id].parentID do
      id = workspace.sessions[id].parentID
    end
    client.request("session.update", { sessionID = id, mode = name }, function()
      log.notify("mode of the session: " .. name)
    end)
  end)
end

--- Chooses the mode of the current session.
function M.mode()
  workspace.open(function()
    local now = workspace.mode(require("polytree").current_session())
    vim.ui.select(M.MODES, {
      prompt = "Mode (now " .. now .. ")",
      kind = "polytree_mode",
      format_item = function(mode)
        return ("%-5s  %s"):format(mode.name, mode.about)
      end,
    }, function(mode)
      if mode then
        M.set_mode(mode.name)
      end
    end)
  end)
end

return M

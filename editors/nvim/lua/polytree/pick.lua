--- Choosing a session, an agent, a model or a variant with `vim.ui.select`.
local client = require("polytree.client")
local config = require("polytree.config")
local log = require("polytree.log")
local prompt = require("polytree.prompt")
local render = require("polytree.render")
local workspace = require("polytree.workspace")

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
  return ("%s %s  %s  %s%s"):format(mark, title, age(session.time.updated), render.cost(session.cost), where)
end

--- Chooses a session of the project.
---@param done fun(session: table)
function M.session(done)
  workspace.open(function()
    local sessions = workspace.list()
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
  end)
end

--- Chooses the agent of the next prompts.
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
        prompt.choice.agent = agent.name
        log.notify("agent of the next prompts: " .. agent.name)
      end
    end)
  end)
end

--- Sets the model of the next prompts by name, "provider/model".
---@param name string
function M.set_model(name)
  local provider, id = name:match("^([^/]+)/(.+)$")
  if not provider then
    return log.notify(('"%s" is no model: write provider/model'):format(name), vim.log.levels.ERROR)
  end
  client.request("model.list", { directory = client.directory() }, function(models)
    for _, model in ipairs(models) do
      if model.providerID == provider and model.modelID == id then
        prompt.choice.model, prompt.choice.variant = { providerID = provider, modelID = id }, nil
        return log.notify("model of the next prompts: " .. name)
      end
    end
    log.notify(
      ('there is no model "%s"; :Polytree model shows those that can be used'):format(name),
      vim.log.levels.ERROR
    )
  end)
end

--- Chooses the model of the next prompts, then its variant where it has some.
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
      prompt.choice.model = { providerID = model.providerID, modelID = model.modelID }
      prompt.choice.variant = nil
      local variants = model.info.variants or {}
      if #variants == 0 then
        return log.notify(("model of the next prompts: %s/%s"):format(model.providerID, model.modelID))
      end
      local choices = { "default" }
      vim.list_extend(choices, variants)
      vim.ui.select(choices, { prompt = "Variant", kind = "polytree_variant" }, function(variant)
        prompt.choice.variant = variant ~= "default" and variant or nil
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

--- What the next prompt will use, in words.
---@return string
function M.choice()
  local model = prompt.choice.model
  local words = { prompt.choice.agent or config.values.agent }
  words[#words + 1] = model and (model.providerID .. "/" .. model.modelID) or config.values.model
  words[#words + 1] = prompt.choice.variant or config.values.variant
  return table.concat(words, " ")
end

return M

--- polytree for Neovim: agent sessions of the polytree daemon in a buffer. `:help polytree` has the whole of it.
local M = {}

--- Replaces the settings. Everything works without calling it; `:help polytree-settings` lists them.
---@param options? table
function M.setup(options)
  local why = require("polytree.config").set(options)
  if why then
    vim.notify("polytree: " .. why, vim.log.levels.ERROR)
  end
end

--- The session of the current buffer, else the one that was used last, else the newest of this directory.
---@return string?
local function current_session()
  local workspace = require("polytree.daemon.workspace")
  local last = workspace.last_here()
  return vim.b.polytree_session or workspace.current or (last and last.id)
end

--- Calls `done` with the current session once the project is known; says so where there is none.
---@param done fun(session_id: string)
local function with_session(done)
  require("polytree.daemon.workspace").open(function()
    local id = current_session()
    if not id then
      return require("polytree.log").notify("there is no session yet; :Polytree prompt begins one", vim.log.levels.WARN)
    end
    done(id)
  end)
end

--- Everything that listens is started with the first command, not with Neovim.
local function start(done)
  local workspace = require("polytree.daemon.workspace")
  require("polytree.question")
  workspace.open(function()
    require("polytree.editor.buffers").start()
    require("polytree.editor.diagnostics").start()
    require("polytree.editor.show").start()
    done()
  end)
end

--- Shows the current session, or begins with an empty prompt where there is none.
function M.open()
  start(function()
    local id = current_session()
    if id then
      require("polytree.conversation.view").show(id)
    else
      M.prompt()
    end
  end)
end

---@class polytree.PromptOptions
---@field text? string sent as it is; without it the prompt's window opens
---@field session_id? string
---@field new? boolean begin a new session
---@field steer? boolean tell it the running turn, instead of waiting for its end
---@field parts? table[] further parts, as `session.submit` takes them
---@field range? [integer, integer] lines of the current buffer that go along

--- Sends a prompt, or opens the window in which one is written.
---@param options? polytree.PromptOptions
function M.prompt(options)
  options = options or {}
  local parts = vim.deepcopy(options.parts or {})
  if options.range then
    table.insert(
      parts,
      require("polytree.prompt.context").selection(vim.api.nvim_get_current_buf(), options.range[1], options.range[2])
    )
  end
  start(function()
    local id = not options.new and (options.session_id or current_session()) or nil
    if not options.text or options.text == "" then
      return require("polytree.prompt").open({ session_id = id, parts = parts, steer = options.steer })
    end
    local all = require("polytree.prompt.context").parse(options.text)
    vim.list_extend(all, parts)
    require("polytree.prompt").send(all, {
      session_id = id,
      steer = options.steer,
      done = function(session_id)
        require("polytree.conversation.view").show(session_id, { enter = false })
      end,
    })
  end)
end

--- Ends the running turn of the current session.
function M.abort()
  with_session(function(id)
    require("polytree.daemon.client").request("session.abort", { sessionID = id }, function(was_running)
      require("polytree.log").notify(was_running and "aborted" or "nothing was running")
    end)
  end)
end

--- Has the conversation summarised: the model reads the summary in place of what is older.
---@param session_id string
function M.compact(session_id)
  local log = require("polytree.log")
  require("polytree.daemon.client").request("session.compact", { sessionID = session_id }, function()
    log.notify("the conversation is summarised")
  end)
end

--- Shows a session that is chosen from a list.
---@param options? { all?: boolean } of all projects
function M.sessions(options)
  start(function()
    require("polytree.pick").session(function(session)
      require("polytree.conversation.view").show(session.id)
    end, options and options.all)
  end)
end

---@class polytree.AnswerOptions
---@field id? string the question; default: the one that is shown
---@field message? string what the model is told with a rejection
---@field scope? "session"|"project" where "always" holds; default: in the project
---@field always? string[] what "always" allows in place of all that is offered: some of it, or something narrower

--- Answers the question that is shown.
---@param response "once"|"always"|"reject"
---@param options? polytree.AnswerOptions|string the message with a rejection, or more
function M.answer(response, options)
  if type(options) == "string" then
    options = { message = options ~= "" and options or nil }
  end
  start(function()
    require("polytree.question").answer(response, options)
  end)
end

--- A line about the current session for 'statusline': what it does, how many questions wait, what it has cost.
--- Empty while nothing is connected; it never connects by itself.
---@return string
function M.statusline()
  local loaded = package.loaded["polytree.daemon.workspace"]
  if not loaded then
    return ""
  end
  local client = require("polytree.daemon.client").client
  if client.state == "failed" then
    return "polytree: not running"
  elseif client.state ~= "ready" then
    return ""
  end
  local id = current_session()
  local session = id and loaded.sessions[id]
  local words = {}
  local status = id and loaded.statuses[id]
  words[#words + 1] = status and status.type or "idle"
  if #loaded.questions > 0 then
    words[#words + 1] = ("%d question%s"):format(#loaded.questions, #loaded.questions == 1 and "" or "s")
  end
  if session then
    words[#words + 1] = require("polytree.conversation.render").cost(session.cost)
  end
  local hunks = id and require("polytree.review").count(id) or 0
  if hunks > 0 then
    words[#words + 1] = ("%d hunk%s to review"):format(hunks, hunks == 1 and "" or "s")
  end
  local mode = loaded.mode(id)
  if mode ~= "ask" then
    words[#words + 1] = "mode " .. mode
  end
  return "polytree: " .. table.concat(words, " · ")
end

--- The status line of a conversation's window.
---@return string
function M.view_statusline()
  local win = vim.g.statusline_winid
  local buf = vim.api.nvim_win_get_buf(win and vim.api.nvim_win_is_valid(win) and win or 0)
  local view = require("polytree.conversation.view").of_buffer(buf)
  if not view then
    return "%f"
  end
  local workspace = require("polytree.daemon.workspace")
  local render = require("polytree.conversation.render")
  local status = workspace.statuses[view.session_id]
  local session = workspace.sessions[view.session_id] or view.state.session
  local mode = workspace.mode(view.session_id)
  local first = { status and status.type or "idle" }
  if status and status.type == "retry" then
    first[1] = ("trying again: %s"):format(status.message)
  end
  local waiting = #workspace.questions_of(view.session_id)
  if waiting > 0 then
    first[#first + 1] = ("%d question%s"):format(waiting, waiting == 1 and "" or "s")
  end
  local queued = workspace.queued[view.session_id]
  if queued then
    first[#first + 1] = ("%d queued"):format(queued)
  end
  local hunks = require("polytree.review").count(view.session_id)
  if hunks > 0 then
    first[#first + 1] = ("%d hunk%s to review"):format(hunks, hunks == 1 and "" or "s")
  end
  local second = {}
  local usage = require("polytree.daemon.usage")
  for _, word in ipairs({ usage.next(view.session_id), usage.context(view.session_id) }) do
    if word ~= "" then
      second[#second + 1] = word
    end
  end
  if session then
    local tokens = session.tokens
    second[#second + 1] = render.cost(session.cost)
    second[#second + 1] = ("%s in, %s out"):format(
      render.tokens(tokens.input + tokens.cache.read + tokens.cache.write),
      render.tokens(tokens.output + tokens.reasoning)
    )
  end
  -- Who is not asked any more must see it.
  local highlight = ({ edits = "%#DiagnosticInfo#", all = "%#DiagnosticWarn#" })[mode]
  local mode_words = highlight and ("%smode %s%%*"):format(highlight, mode) or "mode " .. mode
  local function words(list)
    return (table.concat(list, " · "):gsub("%%", "%%%%"))
  end
  -- A narrow window shows the beginning: what it does, and whether it asks.
  return (" %s · %s%%< · %s"):format(words(first), mode_words, words(second))
end

M.current_session = current_session
M.with_session = with_session
M.start = start

return M

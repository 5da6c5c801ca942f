--- `:Polytree SUBCOMMAND [ARGUMENTS]`.
local M = {}

local function lazy(name)
  return require("polytree." .. name)
end

--- What of a list of the daemon begins with the word. Waits at most 500 ms.
---@param method string
---@param word string
---@param name_of fun(item: table): string?
---@return string[]
local function offered(method, word, name_of)
  local client = lazy("daemon.client")
  local names
  client.request(method, { directory = client.directory() }, function(items)
    names = {}
    for _, item in ipairs(items) do
      local name = name_of(item)
      if name and vim.startswith(name, word) then
        names[#names + 1] = name
      end
    end
    table.sort(names)
  end, function()
    names = {}
  end)
  vim.wait(500, function()
    return names ~= nil
  end, 5)
  return names or {}
end

--- Completes some words.
---@param words string[]
---@return fun(word: string): string[]
local function one_of(words)
  return function(word)
    return vim.tbl_filter(function(name)
      return vim.startswith(name, word)
    end, words)
  end
end

---@class polytree.Command
---@field run fun(arguments: string, range?: [integer, integer], bang: boolean)
---@field about string
---@field complete? fun(word: string): string[]

---@type table<string, polytree.Command>
M.commands = {
  open = {
    about = "show the conversation",
    run = function()
      require("polytree").open()
    end,
  },
  prompt = {
    about = "send TEXT, or write a prompt in a window; a range goes along",
    run = function(text, range)
      require("polytree").prompt({ text = text, range = range })
    end,
  },
  new = {
    about = "begin a session with TEXT, or with a window to write it",
    run = function(text, range)
      require("polytree").prompt({ text = text, range = range, new = true })
    end,
  },
  sessions = {
    about = "choose a session of the project, with ! of all projects",
    run = function(_, _, bang)
      require("polytree").sessions({ all = bang })
    end,
  },
  worktree = {
    about = "go on in another checkout of the repository",
    run = function()
      require("polytree").start(function()
        lazy("pick").worktree()
      end)
    end,
  },
  project = {
    about = "go on in another project",
    run = function()
      require("polytree").start(function()
        lazy("pick").project()
      end)
    end,
  },
  abort = {
    about = "end the running turn and cancel the queue",
    run = function()
      require("polytree").abort()
    end,
  },
  allow = {
    about = "answer the question that is shown: this one time",
    run = function()
      require("polytree").answer("once")
    end,
  },
  always = {
    about = "answer the question that is shown: from now on, in this session or project; PATTERN is less than what is offered",
    complete = function(word)
      local question = lazy("question").current()
      local scope, rest = word:match("^(%S+)%s+(.*)$")
      if scope then
        return vim.tbl_filter(function(pattern)
          return vim.startswith(pattern, rest)
        end, question and question.always or {})
      end
      return one_of({ "project", "session" })(word)
    end,
    run = function(words)
      local scope, pattern = words:match("^(%S+)%s*(.*)$")
      if scope and scope ~= "session" and scope ~= "project" then
        return lazy("log").notify("write `session` or `project` before the pattern", vim.log.levels.ERROR)
      end
      require("polytree").answer("always", { scope = scope, always = pattern and pattern ~= "" and { pattern } or nil })
    end,
  },
  reject = {
    about = "answer the question that is shown: no; MESSAGE tells the model why",
    run = function(message)
      require("polytree").answer("reject", message)
    end,
  },
  question = {
    about = "go into the window of the question",
    run = function()
      require("polytree").start(function()
        lazy("question").enter()
      end)
    end,
  },
  diagnostics = {
    about = "write a prompt that has the diagnostics of the buffer; with ! of all buffers",
    run = function(text, _, bang)
      local part = lazy("prompt.context").diagnostics(not bang and vim.api.nvim_get_current_buf() or nil)
      if not part then
        return lazy("log").notify("there are no diagnostics")
      end
      require("polytree").prompt({ text = text, parts = { part } })
    end,
  },
  diff = {
    about = "what differs from the last commit in a file (default: this one), beside it",
    complete = function(word)
      return vim.fn.getcompletion(word, "file")
    end,
    run = function(path)
      lazy("review.diff").open(path ~= "" and path or nil)
    end,
  },
  review = {
    about = "what the session has changed: the hunks in the quickfix list, or FILE beside what it was before",
    complete = function(word)
      return vim.fn.getcompletion(word, "file")
    end,
    run = function(path)
      require("polytree").with_session(function(id)
        if path == "" then
          return lazy("review").list(id)
        end
        lazy("review.diff").review(id, path)
      end)
    end,
  },
  keep = {
    about = "keep the hunk under the cursor or of the range, or all open ones: hunk, file or all",
    complete = one_of({ "hunk", "file", "all" }),
    run = function(what, range)
      lazy("review").decide("keep", what ~= "" and what or nil, range)
    end,
  },
  undo = {
    about = "undo the hunk under the cursor or of the range, or all open ones: hunk, file or all",
    complete = one_of({ "hunk", "file", "all" }),
    run = function(what, range)
      lazy("review").decide("undo", what ~= "" and what or nil, range)
    end,
  },
  next = {
    about = "go to the next open hunk, in this file or another one",
    run = function()
      lazy("review").go(1)
    end,
  },
  previous = {
    about = "go to the open hunk before",
    run = function()
      lazy("review").go(-1)
    end,
  },
  changes = {
    about = "the files that differ from the last commit, in the quickfix list; with ! a prompt that has the changes",
    run = function(text, _, bang)
      if not bang then
        return lazy("review.diff").changes()
      end
      lazy("prompt.context").changes(function(part)
        if not part then
          return lazy("log").notify("nothing differs from the last commit")
        end
        require("polytree").prompt({ text = text, parts = { part } })
      end)
    end,
  },
  steer = {
    about = "tell the running turn TEXT, which the model reads before its next step",
    run = function(text, range)
      require("polytree").prompt({ text = text, range = range, steer = true })
    end,
  },
  queue = {
    about = "the prompts that wait: see, edit, remove and move them",
    run = function()
      require("polytree").with_session(function(id)
        lazy("conversation.queue").open(id)
      end)
    end,
  },
  revert = {
    about = "undo the conversation and its changes of files from the prompt under the cursor on",
    run = function()
      require("polytree").with_session(function(id)
        lazy("conversation.undo").revert(id)
      end)
    end,
  },
  unrevert = {
    about = "take the undo back",
    run = function()
      require("polytree").with_session(function(id)
        lazy("conversation.undo").unrevert(id)
      end)
    end,
  },
  fork = {
    about = "copy the session; with ! only what is before the prompt under the cursor",
    run = function(_, _, bang)
      require("polytree").with_session(function(id)
        lazy("conversation.undo").fork(id, bang)
      end)
    end,
  },
  compact = {
    about = "have the conversation summarised now",
    run = function()
      require("polytree").with_session(function(id)
        require("polytree").compact(id)
      end)
    end,
  },
  todo = {
    about = "the task list of the session",
    run = function()
      require("polytree").with_session(function(id)
        lazy("conversation.output").todo(id)
      end)
    end,
  },
  export = {
    about = "write the session to FILE, from which `polytree sessions import` makes it again",
    complete = function(word)
      return vim.fn.getcompletion(word, "file")
    end,
    run = function(path, _, bang)
      require("polytree").with_session(function(id)
        lazy("conversation.output").export(id, path, bang)
      end)
    end,
  },
  output = {
    about = "everything that the tool call under the cursor was given and answered",
    run = function()
      lazy("conversation.output").open()
    end,
  },
  agent = {
    about = "choose the agent of the session, or set it by NAME",
    complete = function(word)
      return offered("agent.list", word, function(agent)
        return agent.mode ~= "subagent" and agent.name or nil
      end)
    end,
    run = function(name)
      if name ~= "" then
        lazy("pick").set_agent(name)
      else
        lazy("pick").agent()
      end
    end,
  },
  model = {
    about = "choose the model of the session, or set it: PROVIDER/MODEL [VARIANT]",
    complete = function(word)
      return offered("model.list", word, function(model)
        return ("%s/%s"):format(model.providerID, model.modelID)
      end)
    end,
    run = function(name)
      if name ~= "" then
        lazy("pick").set_model(name)
      else
        lazy("pick").model()
      end
    end,
  },
  mode = {
    about = "choose what the session does without a question, or set it: ask, edits or all",
    complete = one_of({ "ask", "edits", "all" }),
    run = function(name)
      if name ~= "" then
        lazy("pick").set_mode(name)
      else
        lazy("pick").mode()
      end
    end,
  },
  rename = {
    about = "name the session",
    run = function(title)
      if title == "" then
        return lazy("log").notify("write the title behind the command", vim.log.levels.ERROR)
      end
      require("polytree").with_session(function(id)
        lazy("daemon.client").request("session.update", { sessionID = id, title = title })
      end)
    end,
  },
  archive = {
    about = "put the session into the archive",
    run = function()
      require("polytree").with_session(function(id)
        lazy("daemon.client").request("session.update", { sessionID = id, archived = true }, function()
          lazy("log").notify("archived")
          if lazy("daemon.workspace").current == id then
            lazy("daemon.workspace").current = nil
          end
        end)
      end)
    end,
  },
  log = {
    about = "open the log of the plugin",
    run = function()
      vim.cmd.edit(vim.fn.fnameescape(lazy("log").path()))
    end,
  },
  restart = {
    about = "end the connection and connect again; turns go on",
    run = function()
      local client = lazy("daemon.client")
      client.restart(function()
        lazy("log").notify(client.client.state == "ready" and "connected" or client.client.problem or "not connected")
      end)
    end,
  },
}

--- The sub-commands that begin with what was typed.
---@param word string
---@return string[]
local function beginning_with(word)
  local names = {}
  for name in pairs(M.commands) do
    if vim.startswith(name, word) then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

--- The sub-command that was probably meant.
---@param word string
---@return string[]
local function nearest(word)
  local found = vim.fn.matchfuzzy(vim.tbl_keys(M.commands), word)
  return #found > 0 and { found[1] } or {}
end

--- Runs what was typed.
---@param given table as `nvim_create_user_command` hands it
function M.run(given)
  local name, arguments = given.args:match("^(%S+)%s*(.*)$")
  if not name then
    name, arguments = given.range > 0 and "prompt" or "open", ""
  end
  local command = M.commands[name]
  if not command then
    local matches = beginning_with(name)
    if #matches ~= 1 then
      matches = #matches > 1 and matches or nearest(name)
      local hint = #matches > 0 and "; did you mean " .. table.concat(matches, " or ") .. "?"
        or "; `:help :Polytree` lists them"
      return require("polytree.log").notify(("there is no command `%s`%s"):format(name, hint), vim.log.levels.ERROR)
    end
    command = M.commands[matches[1]]
  end
  local range = given.range > 0 and { given.line1, given.line2 } or nil
  command.run(arguments, range, given.bang)
end

---@param _ string
---@param line string
---@param position integer
---@return string[]
function M.complete(_, line, position)
  line = line:sub(1, position)
  local name, word = line:match("Polytree!?%s+(%S+)%s+(.*)$")
  if name then
    local command = M.commands[name]
    return command and command.complete and command.complete(word) or {}
  end
  local start = line:match("Polytree!?%s+(%S*)$") or ""
  return beginning_with(start)
end

return M

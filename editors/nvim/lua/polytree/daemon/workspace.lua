--- What is going on in the directory's project: sessions, what each is doing, and the questions that wait.
local client = require("polytree.daemon.client")
local events = require("polytree.events")

local M = {}

--- Not the deltas: a conversation that is shown follows its own messages.
local TYPES = {
  "session.created",
  "session.updated",
  "session.deleted",
  "session.status",
  "session.idle",
  "session.queue.updated",
  "permission.asked",
  "permission.replied",
  "file.edited",
  "file.changed",
}

--- Types that older daemons do not know, by a method that came with them.
local NEWER_TYPES = { ["hunk.updated"] = "hunk.list", ["config.changed"] = "session.defaults" }

---@type table<string, table> sessions of the project by id
M.sessions = {}
---@type table<string, table> what those sessions do that are not idle
M.statuses = {}
---@type table<string, integer> how many prompts of a session wait
M.queued = {}
---@type table[] open questions, oldest first
M.questions = {}
---@type string? the session that the next prompt goes to
M.current = nil
---@type polytree.protocol.Mode the mode of sessions that have none of their own
M.default_mode = "ask"

local subscription
local handlers = {}
local is_read = false
---@type fun()[]? called after the first read, while it goes on
local opening

--- Calls `done(event)` for each event of the type.
---@param kind string
---@param done fun(event: table)
---@return fun() ends it
function M.on(kind, done)
  handlers[kind] = handlers[kind] or {}
  table.insert(handlers[kind], done)
  return function()
    handlers[kind] = vim.tbl_filter(function(known)
      return known ~= done
    end, handlers[kind])
  end
end

local function tell(kind, event)
  for _, done in ipairs(handlers[kind] or {}) do
    done(event)
  end
end

---@param id string
function M.forget_question(id)
  M.questions = vim.tbl_filter(function(question)
    return question.id ~= id
  end, M.questions)
end

---@param question table
---@return boolean
local function is_ours(question)
  local session = M.sessions[question.sessionID]
  return session ~= nil or question.sessionID == M.current
end

--- Whether a text of a question travelled as a reference.
---@param value any
---@return boolean
local function has_reference(value)
  if type(value) ~= "table" then
    return false
  elseif value.ref and value.bytes then
    return true
  end
  return vim.iter(vim.tbl_values(value)):any(has_reference)
end

---@param event table
local function on_event(event)
  local properties = event.properties
  if event.type == "session.created" or event.type == "session.updated" then
    M.sessions[properties.info.id] = properties.info
  elseif event.type == "session.deleted" then
    M.sessions[properties.info.id] = nil
    M.statuses[properties.info.id] = nil
    if M.current == properties.info.id then
      M.current = nil
    end
  elseif event.type == "session.status" then
    M.statuses[properties.sessionID] = properties.status.type ~= "idle" and properties.status or nil
    events.fire("Status", { sessionID = properties.sessionID, status = properties.status })
  elseif event.type == "session.idle" then
    events.fire("Idle", { sessionID = properties.sessionID })
  elseif event.type == "session.queue.updated" then
    M.queued[properties.sessionID] = #properties.queue > 0 and #properties.queue or nil
  elseif event.type == "permission.asked" then
    if is_ours(properties) then
      M.forget_question(properties.id)
      if has_reference(properties) then
        -- Too long for an event, but a question is shown whole or not at all.
        return M.read()
      end
      table.insert(M.questions, properties)
      events.fire("Question", { permissionID = properties.id, sessionID = properties.sessionID })
    end
  elseif event.type == "permission.replied" then
    M.forget_question(properties.permissionID)
  elseif event.type == "polytree.gap" then
    M.read()
  end
  tell(event.type, event)
  if event.type ~= "file.changed" and event.type ~= "file.edited" then
    tell("any", event)
  end
end

--- Sessions without a mode of their own follow the settings; without them `ask` is a safe thing to show.
local function read_settings()
  client.request("config.get", { directory = client.directory() }, function(settings)
    M.default_mode = settings.mode or "ask"
    tell("any", { type = "config.changed" })
  end, function() end)
end

M.on("config.changed", read_settings)

--- Reads sessions, statuses and questions anew.
---@param done? fun()
---@param failed? fun()
function M.read(done, failed)
  local function stop(err)
    require("polytree.log").notify(require("polytree.daemon.rpc").describe(err), vim.log.levels.ERROR)
    if failed then
      failed()
    end
  end
  client.request("session.list", { directory = client.directory(), scope = "project", limit = 200 }, function(list)
    M.sessions = {}
    for _, session in ipairs(list) do
      M.sessions[session.id] = session
    end
    read_settings()
    client.request("session.status", {}, function(statuses)
      M.statuses = statuses
      client.request("permission.list", {}, function(questions)
        M.questions = vim.tbl_filter(is_ours, questions)
        tell("any", { type = "polytree.read" })
        if done then
          done()
        end
      end, stop)
    end, stop)
  end, stop)
end

--- Follows the project and reads it, once. Who calls during the first read is called after it, in order.
---@param done? fun()
function M.open(done)
  if is_read then
    return done and done()
  end
  client.when_ready(function()
    if client.client.state ~= "ready" then
      require("polytree.log").notify(client.client.problem or "polytree is not running", vim.log.levels.ERROR)
      return
    end
    if not subscription then
      local types = vim.list_extend({}, TYPES)
      for kind, method in pairs(NEWER_TYPES) do
        if client.client.methods[method] then
          types[#types + 1] = kind
        end
      end
      local params =
        { directory = client.directory(), types = types, blobs = "inline", since = client.client.server.cursor }
      subscription = client.subscribe(params, on_event)
    end
    if opening then
      table.insert(opening, done)
      return
    end
    opening = { done }
    M.read(function()
      local calls = opening or {}
      is_read, opening = true, nil
      for _, call in ipairs(calls) do
        call()
      end
    end, function()
      opening = nil
    end)
  end)
end

--- Forgets the project: the directory is another one.
function M.leave()
  if subscription then
    client.unsubscribe(subscription)
  end
  subscription, is_read, opening = nil, false, nil
  M.sessions, M.statuses, M.questions, M.queued, M.current = {}, {}, {}, {}, nil
  tell("any", { type = "polytree.read" })
end

--- The sessions of the project, the most recently updated first; children and archived ones left out.
---@return table[]
function M.list()
  local list = {}
  for _, session in pairs(M.sessions) do
    if not session.parentID and not session.time.archived then
      list[#list + 1] = session
    end
  end
  table.sort(list, function(a, b)
    return a.time.updated > b.time.updated
  end)
  return list
end

--- The newest session of exactly this directory.
---@return table?
function M.last_here()
  local directory = client.directory()
  for _, session in ipairs(M.list()) do
    if session.directory == directory then
      return session
    end
  end
end

--- What a session does without a question. A child has the mode of its root.
---@param session_id? string nil for a session to come
---@return polytree.protocol.Mode
function M.mode(session_id)
  local session = M.sessions[session_id]
  while session and session.parentID and M.sessions[session.parentID] do
    session = M.sessions[session.parentID]
  end
  return session and session.mode or M.default_mode
end

--- The open questions of a session and its children.
---@param session_id string
---@return table[]
function M.questions_of(session_id)
  return vim.tbl_filter(function(question)
    local id = question.sessionID
    while id do
      if id == session_id then
        return true
      end
      id = M.sessions[id] and M.sessions[id].parentID
    end
    return false
  end, M.questions)
end

return M

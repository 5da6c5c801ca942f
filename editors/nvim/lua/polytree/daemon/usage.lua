--- What the next prompt of a session uses, and how full its context is: read when that may have changed.
local client = require("polytree.daemon.client")
local log = require("polytree.log")
local workspace = require("polytree.daemon.workspace")

local M = {}

--- Several changes that come together cost one read, in milliseconds.
local WAIT_MS = 150

---@type table<string, polytree.protocol.SessionDefaults> by session
M.defaults = {}
---@type table<string, polytree.protocol.SessionContext> by session
M.contexts = {}
---@type table<string, boolean> sessions that are read soon
local waiting = {}

---@param session_id string
local function read(session_id)
  waiting[session_id] = nil
  local function take(method, into)
    if client.client.state == "ready" and client.client.methods[method] then
      client.request(method, { sessionID = session_id }, function(result)
        into[session_id] = result
        require("polytree.conversation.window").redraw_status()
      end, function(err)
        log.warn("%s: %s", method, err.message)
      end)
    end
  end
  take("session.defaults", M.defaults)
  take("session.context", M.contexts)
end

---@param session_id string
local function schedule(session_id)
  if not waiting[session_id] then
    waiting[session_id] = true
    vim.defer_fn(function()
      read(session_id)
    end, WAIT_MS)
  end
end

local is_started = false

--- Begins to know about a session.
---@param session_id string
function M.follow(session_id)
  if not is_started then
    is_started = true
    workspace.on("session.updated", function(event)
      if M.defaults[event.properties.info.id] then
        schedule(event.properties.info.id)
      end
    end)
    workspace.on("session.idle", function(event)
      if M.defaults[event.properties.sessionID] then
        schedule(event.properties.sessionID)
      end
    end)
    workspace.on("config.changed", function()
      for id in pairs(M.defaults) do
        schedule(id)
      end
    end)
  end
  if not M.defaults[session_id] then
    schedule(session_id)
  end
end

--- What the next prompt of a session uses, in words.
---@param session_id string
---@return string
function M.next(session_id)
  local defaults = M.defaults[session_id]
  if not defaults then
    return ""
  end
  local words = { defaults.agent, ("%s/%s"):format(defaults.model.providerID, defaults.model.modelID) }
  words[3] = defaults.variant
  return table.concat(words, " ")
end

--- How full the context of a session is, in words; empty where that is not known.
---@param session_id string
---@return string
function M.context(session_id)
  local context = M.contexts[session_id]
  local render = require("polytree.conversation.render")
  if not context or context.used == 0 then
    return ""
  elseif context.limit == 0 then
    return render.tokens(context.used) .. " context"
  end
  return ("%.0f%% of %s context"):format(100 * context.used / context.limit, render.tokens(context.limit))
end

return M

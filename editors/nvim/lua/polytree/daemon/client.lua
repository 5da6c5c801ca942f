--- The connection to the daemon: started when it is first needed, started again when it ends.
---
--- The child is a relay that survives restarts of the daemon by itself, so that its own end is rare. When it
--- happens, subscriptions are opened again after the last cursor that was seen: nothing is missed.
local config = require("polytree.config")
local log = require("polytree.log")
local rpc = require("polytree.daemon.rpc")

local M = {}

--- The oldest protocol that the plugin speaks.
M.PROTOCOL_VERSION = 1

--- Waits between attempts to start, in milliseconds.
local BACKOFF_MS = { 0, 500, 2000, 5000, 10000, 30000 }

---@class polytree.Subscription
---@field params table
---@field on_event fun(event: table)
---@field id? integer
---@field cursor? integer
---@field opening? boolean
---@field ended? boolean

---@class polytree.Client
---@field rpc? polytree.Rpc
---@field state "idle"|"starting"|"ready"|"failed"
---@field problem? string why it failed, with what to do
---@field server? table the answer of `server.initialize`
---@field methods table<string, true>
local client = {
  state = "idle",
  methods = {},
}
M.client = client

---@type polytree.Subscription[]
local subscriptions = {}
---@type fun()[]
local waiting = {}
---@type table<string, fun(event: table)>
local direct = {}
---@type table<string, fun()[]>
local listeners = {}
local attempts = 0
local stopping = false

--- Calls `done` whenever `what` happens: "ready", "ended" or "failed".
---@param what string
---@param done fun()
function M.on(what, done)
  listeners[what] = listeners[what] or {}
  table.insert(listeners[what], done)
end

local function tell(what)
  for _, done in ipairs(listeners[what] or {}) do
    done()
  end
  require("polytree.events").fire("Connection", { state = client.state })
end

--- The directory whose sessions are shown.
---@return string
function M.directory()
  local directory = config.values.directory or vim.fn.getcwd(-1, -1)
  return (vim.uv or vim.loop).fs_realpath(vim.fn.expand(directory)) or directory
end

--- Handles an event that is meant for this connection alone, such as `buffer.edit`.
---@param kind string
---@param done fun(event: table)
function M.on_direct(kind, done)
  direct[kind] = done
end

---@param method string
---@param params table
local function on_notification(method, params)
  if method ~= "event" then
    return
  end
  local event = params.result
  if params.subscription == nil then
    local done = direct[event.type]
    if done then
      done(event)
    end
    return
  end
  for _, subscription in ipairs(subscriptions) do
    if subscription.id == params.subscription then
      subscription.cursor = event.cursor
      subscription.on_event(event)
      return
    end
  end
end

---@param problem string
local function fail(problem)
  client.state, client.problem = "failed", problem
  local done = waiting
  waiting = {}
  for _, call in ipairs(done) do
    call()
  end
  tell("failed")
end

---@param subscription polytree.Subscription
local function open(subscription)
  if subscription.opening or subscription.id then
    return
  end
  subscription.opening = true
  local params = vim.deepcopy(subscription.params)
  params.since = subscription.cursor
  client.rpc:request("event.subscribe", params, function(err, id)
    subscription.opening = false
    if err and err.data and err.data.kind == "cursor_expired" then
      -- Too long away: what was missed must be read anew.
      subscription.cursor = err.data.oldest
      subscription.on_event({ type = "polytree.gap", cursor = err.data.oldest, properties = {} })
      return open(subscription)
    elseif err then
      log.error("event.subscribe: %s", rpc.describe(err))
      return
    end
    subscription.id = id
    if subscription.ended then
      client.rpc:request("event.unsubscribe", { subscription = id }, function() end)
    end
  end)
end

local start

---@param code integer
---@param signal integer
---@param stderr string
local function on_exit(code, signal, stderr)
  local was = client.state
  client.rpc, client.state = nil, "idle"
  for _, subscription in ipairs(subscriptions) do
    subscription.id, subscription.opening = nil, false
  end
  log.warn("the connection ended with code %d, signal %d: %s", code, signal, stderr)
  tell("ended")
  if stopping then
    return
  end
  if was == "starting" then
    local reason = stderr ~= "" and stderr
      or ("`%s` ended with code %d"):format(table.concat(config.values.command, " "), code)
    fail(reason)
  end
  attempts = attempts + 1
  local wait = BACKOFF_MS[math.min(attempts + 1, #BACKOFF_MS)]
  vim.defer_fn(function()
    if not stopping and client.state ~= "ready" and client.state ~= "starting" then
      start()
    end
  end, wait)
end

---@param command string
---@return string
local function missing(command)
  return ("cannot start `%s`: it is not on PATH. Install polytree, or set `command` in require('polytree').setup()"):format(
    command
  )
end

start = function()
  client.state, client.problem = "starting", nil
  local command = config.values.command
  if vim.fn.executable(command[1]) ~= 1 then
    return fail(missing(command[1]))
  end
  local started, why = rpc.start({
    command = command,
    cwd = M.directory(),
    on_notification = on_notification,
    on_exit = on_exit,
  })
  if not started then
    return fail(("cannot start `%s`: %s"):format(command[1], why))
  end
  client.rpc = started
  started:request("server.initialize", {
    clientInfo = { name = "polytree.nvim", version = tostring(vim.version()) },
    protocolVersion = M.PROTOCOL_VERSION,
    directory = M.directory(),
    capabilities = { open = true, edits = config.values.announce_buffers, diffs = true },
  }, function(err, result)
    if err then
      local problem = rpc.describe(err)
      if err.data and err.data.kind == "unsupported_version" then
        problem = "this polytree is too old or too new for the plugin: " .. problem .. ". Update both"
      end
      started:close()
      return fail(problem)
    end
    client.server, client.state, attempts = result, "ready", 0
    client.methods = {}
    for _, method in ipairs(result.methods) do
      client.methods[method] = true
    end
    log.info("connected to %s %s, process %d", result.serverInfo.name, result.serverInfo.version, started.pid)
    for _, subscription in ipairs(subscriptions) do
      open(subscription)
    end
    local done = waiting
    waiting = {}
    for _, call in ipairs(done) do
      call()
    end
    tell("ready")
  end)
end

--- Calls `done` when the connection is there, or has failed (`client.state` tells). Never blocks.
---@param done fun()
function M.when_ready(done)
  if client.state == "ready" then
    return done()
  end
  table.insert(waiting, done)
  if client.state ~= "starting" then
    stopping = false
    start()
  end
end

--- Sends a request, connecting first where needed. A failure is told to the user unless `done` takes it.
---@param method string
---@param params? table
---@param done? fun(result: any)
---@param failed? fun(err: polytree.RpcError)
function M.request(method, params, done, failed)
  M.when_ready(function()
    if client.state ~= "ready" then
      local err =
        { code = 1009, message = client.problem or "polytree is not running", data = { kind = "unavailable" } }
      if failed then
        return failed(err)
      end
      return log.notify(err.message, vim.log.levels.ERROR)
    end
    client.rpc:request(method, params, function(err, result)
      if not err then
        return done and done(result)
      end
      log.warn("%s: %s", method, rpc.describe(err))
      if failed then
        return failed(err)
      end
      log.notify(rpc.describe(err), vim.log.levels.ERROR)
    end)
  end)
end

--- Sends a request at once if there is a connection: for what has no meaning later.
---@param method string
---@param params table
---@param done? fun(err?: polytree.RpcError, result: any)
function M.send_now(method, params, done)
  if client.state == "ready" then
    client.rpc:request(method, params, done or function(err)
      if err then
        log.warn("%s: %s", method, rpc.describe(err))
      end
    end)
  end
end

--- Follows events, after `params.since` where that is given. Ends with `unsubscribe`.
---@param params table
---@param on_event fun(event: table)
---@return polytree.Subscription
function M.subscribe(params, on_event)
  local subscription = { params = params, on_event = on_event, cursor = params.since }
  table.insert(subscriptions, subscription)
  M.when_ready(function()
    if client.state == "ready" and not subscription.ended then
      open(subscription)
    end
  end)
  return subscription
end

---@param subscription polytree.Subscription
function M.unsubscribe(subscription)
  subscription.ended = true
  subscriptions = vim.tbl_filter(function(known)
    return known ~= subscription
  end, subscriptions)
  if subscription.id then
    M.send_now("event.unsubscribe", { subscription = subscription.id })
  end
end

--- Ends the connection and connects again, for the working directory as it is now. Turns go on in the daemon.
---@param done fun()
function M.restart(done)
  local old = client.rpc
  M.stop()
  local tries = 0
  local function again()
    tries = tries + 1
    if client.rpc == old and old ~= nil and tries < 200 then
      return vim.defer_fn(again, 10)
    end
    M.when_ready(done)
  end
  again()
end

--- Ends the connection. Turns go on in the daemon.
function M.stop()
  stopping = true
  if client.rpc then
    client.rpc:close()
  end
end

return M

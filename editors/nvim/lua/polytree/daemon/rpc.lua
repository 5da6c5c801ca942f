--- JSON-RPC 2.0 with a child process, one JSON message on each line of its standard streams.
---
--- A message is decoded and handled on the main loop, at most `BUDGET_MS` at a time, so that a flood of
--- notifications never blocks typing.
local uv = vim.uv or vim.loop
local log = require("polytree.log")

local M = {}

--- Longest run of our handlers before other events get a turn, in milliseconds.
local BUDGET_MS = 8

--- Longest run of our handlers so far, in milliseconds, for those who measure.
M.slowest = 0

---@class polytree.RpcError
---@field code integer
---@field message string
---@field data? { kind?: string, hint?: string, [string]: any }

---@class polytree.RpcOptions
---@field command string[]
---@field cwd string
---@field on_notification fun(method: string, params: table)
---@field on_exit fun(code: integer, signal: integer, stderr: string)

---@class polytree.Rpc
---@field private handle? userdata
---@field private stdin userdata
---@field private pending table<integer, fun(err?: polytree.RpcError, result: any)>
---@field private next_id integer
---@field private queue string[]
---@field private head integer
---@field private scheduled boolean
---@field private partial string[]
---@field private stderr string[]
---@field private options polytree.RpcOptions
---@field closed boolean
---@field pid integer
local Rpc = {}
Rpc.__index = Rpc

--- What an error says, with the hint that the daemon gives.
---@param err polytree.RpcError
---@return string
function M.describe(err)
  local hint = err.data and err.data.hint
  return hint and ("%s (%s)"):format(err.message, hint) or err.message
end

--- Starts the command. Returns nil and the reason where that is not possible.
---@param options polytree.RpcOptions
---@return polytree.Rpc?, string?
function M.start(options)
  local stdin, stdout, stderr = uv.new_pipe(false), uv.new_pipe(false), uv.new_pipe(false)
  local self = setmetatable({
    options = options,
    stdin = stdin,
    pending = {},
    next_id = 0,
    queue = {},
    head = 1,
    scheduled = false,
    partial = {},
    stderr = {},
    closed = false,
  }, Rpc)

  local handle, pid = uv.spawn(options.command[1], {
    args = vim.list_slice(options.command, 2),
    cwd = options.cwd,
    stdio = { stdin, stdout, stderr },
    hide = true,
  }, function(code, signal)
    stdout:read_stop()
    stdout:close()
    stderr:close()
    if not stdin:is_closing() then
      stdin:close()
    end
    self.handle:close()
    vim.schedule(function()
      self:ended(code, signal)
    end)
  end)
  if not handle then
    for _, pipe in ipairs({ stdin, stdout, stderr }) do
      pipe:close()
    end
    return nil, tostring(pid)
  end
  self.handle, self.pid = handle, pid

  stdout:read_start(function(_, data)
    if data then
      self:received(data)
    end
  end)
  stderr:read_start(function(_, data)
    if data then
      self.stderr[#self.stderr + 1] = data
      -- Only the end of a long complaint is of use.
      if #self.stderr > 50 then
        table.remove(self.stderr, 1)
      end
    end
  end)
  return self
end

--- Splits what came into lines. Runs outside of the main loop: no editor calls here.
---@private
---@param data string
function Rpc:received(data)
  local from = 1
  while true do
    local stop = data:find("\n", from, true)
    if not stop then
      break
    end
    self.partial[#self.partial + 1] = data:sub(from, stop - 1)
    self.queue[#self.queue + 1] = table.concat(self.partial)
    self.partial = {}
    from = stop + 1
  end
  if from <= #data then
    self.partial[#self.partial + 1] = data:sub(from)
  end
  self:wake()
end

---@private
function Rpc:wake()
  if self.scheduled or self.head > #self.queue then
    return
  end
  self.scheduled = true
  vim.schedule(function()
    self.scheduled = false
    local started = uv.hrtime()
    local deadline = started + BUDGET_MS * 1e6
    while self.head <= #self.queue do
      local line = self.queue[self.head]
      self.queue[self.head] = false
      self.head = self.head + 1
      self:handle_line(line)
      if uv.hrtime() > deadline then
        break
      end
    end
    M.slowest = math.max(M.slowest, (uv.hrtime() - started) / 1e6)
    if self.head > #self.queue then
      self.queue, self.head = {}, 1
    else
      self:wake()
    end
  end)
end

---@private
---@param line string
function Rpc:handle_line(line)
  if line == "" then
    return
  end
  local ok, message = pcall(vim.json.decode, line, { luanil = { object = true, array = true } })
  if not ok or type(message) ~= "table" then
    log.warn("not JSON-RPC: %s", line:sub(1, 200))
    return
  end
  if message.method then
    local fine, why = xpcall(self.options.on_notification, debug.traceback, message.method, message.params or {})
    if not fine then
      log.error("handling %s: %s", message.method, why)
    end
    return
  end
  local done = self.pending[message.id]
  if not done then
    log.warn("answer to no request: %s", line:sub(1, 200))
    return
  end
  self.pending[message.id] = nil
  local fine, why = xpcall(done, debug.traceback, message.error, message.result)
  if not fine then
    log.error("handling an answer: %s", why)
  end
end

---@private
---@param message table
function Rpc:send(message)
  self.stdin:write(vim.json.encode(message) .. "\n")
end

--- Sends a request. `done` is called exactly once, on the main loop.
---@param method string
---@param params? table
---@param done fun(err?: polytree.RpcError, result: any)
---@return integer? id for `cancel`
function Rpc:request(method, params, done)
  if self.closed then
    vim.schedule(function()
      done({ code = 1009, message = "polytree is not running", data = { kind = "unavailable" } })
    end)
    return nil
  end
  self.next_id = self.next_id + 1
  local id = self.next_id
  self.pending[id] = done
  -- An empty Lua table would be sent as an empty array.
  if params == nil or next(params) == nil then
    params = vim.empty_dict()
  end
  self:send({ jsonrpc = "2.0", id = id, method = method, params = params })
  return id
end

--- Withdraws a request, which is then answered with the error `cancelled`.
---@param id integer
function Rpc:cancel(id)
  if not self.closed and self.pending[id] then
    self:send({ jsonrpc = "2.0", method = "$/cancelRequest", params = { id = id } })
  end
end

---@private
---@param code integer
---@param signal integer
function Rpc:ended(code, signal)
  self.closed = true
  -- What was received before the end is still handled, in order.
  while self.head <= #self.queue do
    self.head = self.head + 1
    self:handle_line(self.queue[self.head - 1])
  end
  local pending = self.pending
  self.pending = {}
  for _, done in pairs(pending) do
    pcall(done, { code = 1009, message = "the connection to polytree has ended", data = { kind = "unavailable" } })
  end
  self.options.on_exit(code, signal, vim.trim(table.concat(self.stderr)))
end

--- Ends the child's input, on which it leaves.
function Rpc:close()
  if not self.stdin:is_closing() then
    self.stdin:shutdown(function()
      if not self.stdin:is_closing() then
        self.stdin:close()
      end
    end)
  end
end

return M

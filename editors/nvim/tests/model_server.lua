--- A model server on loopback that speaks OpenAI's Chat Completions as a stream of events, from a script.
local uv = vim.uv

local M = {}

---@class polytree.ModelServer
---@field port integer
---@field requests table[] the bodies, decoded
---@field answers fun(reply: polytree.Reply)[] for calls with tools, in order
local Server = {}
Server.__index = Server

---@class polytree.Reply
---@field request table
---@field private client userdata
---@field private index integer
local Reply = {}
Reply.__index = Reply

---@param chunk table
function Reply:chunk(chunk)
  if not self.client:is_closing() then
    self.client:write("data: " .. vim.json.encode(chunk) .. "\n\n")
  end
end

---@param text string
function Reply:text(text)
  self:chunk({ id = "c", object = "chat.completion.chunk", choices = { { index = 0, delta = { content = text } } } })
end

---@param name string
---@param arguments table
function Reply:call(name, arguments)
  local call = {
    index = self.index,
    id = ("call_%d_%d"):format(self.number, self.index),
    type = "function",
    ["function"] = { name = name, arguments = vim.json.encode(arguments) },
  }
  self.index = self.index + 1
  self:chunk({
    id = "c",
    object = "chat.completion.chunk",
    choices = { { index = 0, delta = { tool_calls = { call } } } },
  })
end

---@param reason? string
function Reply:finish(reason)
  reason = reason or (self.index > 0 and "tool_calls" or "stop")
  self:chunk({
    id = "c",
    object = "chat.completion.chunk",
    choices = { { index = 0, delta = vim.empty_dict(), finish_reason = reason } },
    usage = { prompt_tokens = 100, completion_tokens = 10, total_tokens = 110 },
  })
  if not self.client:is_closing() then
    self.client:write("data: [DONE]\n\n", function()
      if not self.client:is_closing() then
        self.client:shutdown(function()
          if not self.client:is_closing() then
            self.client:close()
          end
        end)
      end
    end)
  end
end

---@param self polytree.ModelServer
---@param client userdata
---@param body table
local function answer(self, client, body)
  self.requests[#self.requests + 1] = body
  client:write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
  local reply = setmetatable({ request = body, client = client, index = 0, number = #self.requests }, Reply)
  if not body.tools or #body.tools == 0 then
    reply:text(
      vim.json.encode(body):find("You summarise conversations", 1, true) and "A summary.\nOf two lines." or "A title"
    )
    return reply:finish()
  end
  local play = table.remove(self.answers, 1)
  if not play then
    reply:text("The script has ended.")
    return reply:finish()
  end
  play(reply)
end

---@return polytree.ModelServer
function M.start()
  local self = setmetatable({ requests = {}, answers = {} }, Server)
  self.tcp = uv.new_tcp()
  assert(self.tcp:bind("127.0.0.1", 0))
  self.port = self.tcp:getsockname().port
  self.tcp:listen(64, function()
    local client = uv.new_tcp()
    self.tcp:accept(client)
    local received = ""
    client:read_start(function(_, data)
      if not data then
        if not client:is_closing() then
          client:close()
        end
        return
      end
      received = received .. data
      local head_end = received:find("\r\n\r\n", 1, true)
      local length = head_end and tonumber(received:sub(1, head_end):lower():match("content%-length:%s*(%d+)"))
      if length and #received >= head_end + 3 + length then
        local body = vim.json.decode(
          received:sub(head_end + 4, head_end + 3 + length),
          { luanil = { object = true, array = true } }
        )
        received = ""
        vim.schedule(function()
          answer(self, client, body)
        end)
      end
    end)
  end)
  return self
end

--- Adds answers for the next calls.
---@param ... fun(reply: polytree.Reply)
function Server:script(...)
  vim.list_extend(self.answers, { ... })
end

--- The requests of turns: those that offer tools.
---@return table[]
function Server:turns()
  return vim.tbl_filter(function(request)
    return request.tools ~= nil and #request.tools > 0
  end, self.requests)
end

function Server:stop()
  self.tcp:close()
end

--- An answer of text alone.
---@param text string
---@return fun(reply: polytree.Reply)
function M.say(text)
  return function(reply)
    reply:text(text)
    reply:finish()
  end
end

--- An answer that calls one tool.
---@param name string
---@param arguments table
---@return fun(reply: polytree.Reply)
function M.call(name, arguments)
  return function(reply)
    reply:call(name, arguments)
    reply:finish()
  end
end

return M

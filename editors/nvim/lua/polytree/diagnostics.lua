--- Tells the daemon what language servers of this Neovim say about announced buffers, so that the model reads it after its
--- edits and in prompts.
local buffers = require("polytree.buffers")
local client = require("polytree.client")
local log = require("polytree.log")

local M = {}

local api = vim.api

--- Servers that report in several steps cost one message, in milliseconds.
local WAIT_MS = 100

---@type table<integer, boolean> buffers that are told of soon
local waiting = {}

---@param buf integer
---@param line integer from 0
---@param column integer in bytes
---@return { line: integer, character: integer } in UTF-16 code units
local function position(buf, line, column)
  local text = api.nvim_buf_get_lines(buf, line, line + 1, false)[1] or ""
  local before = text:sub(1, column)
  return { line = line, character = vim.fn.strutf16len(before) }
end

--- What is known of a buffer, as the Language Server Protocol has it.
---@param buf integer
---@return table[]
function M.items(buf)
  return vim.tbl_map(function(item)
    return {
      range = {
        start = position(buf, item.lnum, item.col),
        ["end"] = position(buf, item.end_lnum or item.lnum, item.end_col or item.col),
      },
      severity = item.severity,
      code = (type(item.code) == "string" or type(item.code) == "number") and item.code or nil,
      source = item.source,
      message = item.message,
    }
  end, vim.diagnostic.get(buf))
end

---@param buf integer
local function tell(buf)
  waiting[buf] = nil
  local entry = buffers.announced[buf]
  if not entry or entry.stale or not api.nvim_buf_is_loaded(buf) or not client.client.methods["diagnostics.set"] then
    return
  end
  local params = { path = entry.path, version = entry.version, items = M.items(buf) }
  client.send_now("diagnostics.set", params, function(err)
    if err then
      log.debug("diagnostics.set %s: %s", entry.path, err.message)
    end
  end)
end

--- Begins to tell. Calling it again does nothing.
function M.start()
  api.nvim_create_autocmd("DiagnosticChanged", {
    group = api.nvim_create_augroup("polytree.diagnostics", { clear = true }),
    callback = function(event)
      if buffers.announced[event.buf] and not waiting[event.buf] then
        waiting[event.buf] = true
        vim.defer_fn(function()
          tell(event.buf)
        end, WAIT_MS)
      end
    end,
  })
end

return M

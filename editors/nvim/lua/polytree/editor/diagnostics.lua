--- Tells the daemon what language servers of this Neovim say about announced buffers, so that the model reads it after its
--- edits and in prompts.
local buffers = require("polytree.editor.buffers")
local client = require("polytree.daemon.client")
local log = require("polytree.log")

local M = {}

local api = vim.api
local uv = vim.uv or vim.loop

--- Servers that report in several steps cost one message, in milliseconds.
local WAIT_MS = 100
--- What a language server says so soon after a change may be about the text before it, in milliseconds: Neovim tells it of
--- changes 150 ms later. Without another report it is taken for the new text after `SETTLED_MS`.
local EARLY_MS = 200
local SETTLED_MS = 1000

---@type table<integer, integer> by buffer: the last report, of which the daemon is told soon
local reports = {}
local count = 0
---@type table<integer, number> by buffer: when its text has changed last
local changed_at = {}

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

---@param buf integer
---@return boolean
local function has_server(buf)
  return #vim.lsp.get_clients({ bufnr = buf }) > 0
end

--- Tells soon what was reported, unless the text changes before: then the report is about another text.
---@param buf integer
local function tell_soon(buf)
  if not buffers.announced[buf] then
    return
  end
  count = count + 1
  local report, tick = count, api.nvim_buf_get_changedtick(buf)
  reports[buf] = report
  local since = uv.now() - (changed_at[buf] or -math.huge)
  local is_early = has_server(buf) and since < EARLY_MS
  vim.defer_fn(function()
    if reports[buf] == report and api.nvim_buf_is_valid(buf) and api.nvim_buf_get_changedtick(buf) == tick then
      reports[buf] = nil
      tell(buf)
    end
  end, is_early and SETTLED_MS - since or WAIT_MS)
end

--- Whether something looks at the buffer: a language server, or what has found something in it.
---@param buf integer
---@return boolean
local function is_looked_at(buf)
  return #vim.diagnostic.get(buf) > 0 or has_server(buf)
end

--- Begins to tell.
function M.start()
  -- Only of files of which something was told the model learns that they are fine.
  buffers.on_announced = function(buf)
    api.nvim_buf_attach(buf, false, {
      on_lines = function()
        changed_at[buf] = uv.now()
        return buffers.announced[buf] == nil
      end,
    })
    if is_looked_at(buf) then
      tell_soon(buf)
    end
  end
  for buf in pairs(buffers.announced) do
    buffers.on_announced(buf)
  end
  api.nvim_create_autocmd("DiagnosticChanged", {
    group = api.nvim_create_augroup("polytree.diagnostics", { clear = true }),
    callback = function(event)
      tell_soon(event.buf)
    end,
  })
end

return M

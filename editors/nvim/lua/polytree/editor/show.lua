--- Shows a file when another client, or a tool, asks for it: the event `editor.open`.
local client = require("polytree.daemon.client")
local log = require("polytree.log")

local M = {}

local api = vim.api

--- A window for files: not one of a conversation, a list or a float.
---@return integer?
local function file_window()
  local here = api.nvim_get_current_win()
  local windows = api.nvim_tabpage_list_wins(0)
  table.insert(windows, 1, here)
  for _, win in ipairs(windows) do
    local buf = api.nvim_win_get_buf(win)
    local is_fixed = vim.fn.exists("+winfixbuf") == 1 and vim.wo[win].winfixbuf
    if vim.bo[buf].buftype == "" and api.nvim_win_get_config(win).relative == "" and not is_fixed then
      return win
    end
  end
end

---@param event table
local function open(event)
  local path, range = event.properties.path, event.properties.range
  local win = file_window()
  if win then
    api.nvim_set_current_win(win)
  else
    vim.cmd("leftabove vertical new")
  end
  local ok, why = pcall(vim.cmd.edit, vim.fn.fnameescape(path))
  if not ok then
    return log.notify(tostring(why), vim.log.levels.ERROR)
  end
  if range then
    local line = math.min(range.start.line + 1, api.nvim_buf_line_count(0))
    local text = api.nvim_buf_get_lines(0, line - 1, line, false)[1] or ""
    local column = vim.fn.byteidx(text, range.start.character, true)
    api.nvim_win_set_cursor(0, { line, math.max(0, column) })
    vim.cmd("normal! zvzz")
  end
end

--- Begins to listen.
function M.start()
  client.on_direct("editor.open", open)
end

return M

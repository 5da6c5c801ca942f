--- The window that shows a conversation: where it opens, how it looks, how it folds.
local config = require("polytree.config")
local render = require("polytree.conversation.render")

local M = {}

local api = vim.api

--- Opens a window where the settings say, and enters it.
---@return integer
function M.open()
  local position = config.values.position
  if position == "current" then
    return api.nvim_get_current_win()
  elseif position == "tab" then
    vim.cmd.tabnew()
    vim.bo.bufhidden = "wipe"
    return api.nvim_get_current_win()
  end
  local is_column = position == "right" or position == "left"
  local total = is_column and vim.o.columns or vim.o.lines
  local size = config.values.size
  size = size < 1 and math.floor(total * size) or math.floor(size)
  vim.cmd(
    (is_column and "vertical " or "")
      .. ((position == "right" or position == "below") and "botright " or "topleft ")
      .. "split"
  )
  local win = api.nvim_get_current_win()
  if is_column then
    api.nvim_win_set_width(win, size)
  else
    api.nvim_win_set_height(win, size)
  end
  return win
end

--- Makes a window one of a conversation.
---@param win integer
function M.set_options(win)
  local options = {
    wrap = true,
    linebreak = true,
    breakindent = true,
    number = false,
    relativenumber = false,
    signcolumn = "no",
    spell = false,
    list = false,
    conceallevel = 2,
    foldmethod = "expr",
    foldexpr = "v:lua.require'polytree.conversation.window'.fold()",
    foldtext = "v:lua.require'polytree.conversation.window'.fold_text()",
    foldlevel = 0,
    foldenable = true,
    winfixwidth = true,
    statusline = "%{%v:lua.require'polytree'.view_statusline()%}",
  }
  for name, value in pairs(options) do
    api.nvim_set_option_value(name, value, { scope = "local", win = win })
  end
end

--- The screen's row and column from which on a question covers everything below and to the right.
---@type { row: integer, column: integer }?
local covered

--- Scrolls a window so that the end of its text stands above a question that covers a part of it.
---@param win integer
local function fit(win)
  local height, position = api.nvim_win_get_height(win), api.nvim_win_get_position(win)
  local is_covered = covered and position[2] + api.nvim_win_get_width(win) > covered.column
  local room = is_covered and math.min(height, covered.row - position[1]) or height
  if room < 2 then
    return
  end
  local last = api.nvim_buf_line_count(api.nvim_win_get_buf(win))
  local low, high = 1, last
  while low < high do
    local middle = math.floor((low + high) / 2)
    if api.nvim_win_text_height(win, { start_row = middle - 1, end_row = last - 1 }).all <= room then
      high = middle
    else
      low = middle + 1
    end
  end
  api.nvim_win_call(win, function()
    vim.fn.winrestview({ topline = low })
  end)
end

--- Keeps the end of the text in sight while a question is shown.
---@param windows integer[] their cursors stand on the last line
function M.keep_in_sight(windows)
  if covered then
    vim.iter(windows):each(fit)
  end
end

--- A question covers the screen from here on, or none does any more.
---@param place? { row: integer, column: integer }
function M.cover(place)
  covered = place
  for _, win in ipairs(api.nvim_tabpage_list_wins(0)) do
    local buf = api.nvim_win_get_buf(win)
    if vim.bo[buf].filetype == "polytree" and api.nvim_win_get_cursor(win)[1] == api.nvim_buf_line_count(buf) then
      fit(win)
    end
  end
end

--- For 'foldexpr'.
---@return integer
function M.fold()
  return render.fold_level(vim.fn.getline(vim.v.lnum), config.values)
end

--- For 'foldtext'.
---@return string
function M.fold_text()
  local count = vim.v.foldend - vim.v.foldstart + 1
  return ("  … %d line%s"):format(count, count == 1 and "" or "s")
end

local is_redrawing = false
--- Soon, and by itself: an error of somebody's 'statusline' must not stop what is being handled.
function M.redraw_status()
  if is_redrawing then
    return
  end
  is_redrawing = true
  vim.schedule(function()
    is_redrawing = false
    pcall(vim.cmd.redrawstatus)
  end)
end

return M

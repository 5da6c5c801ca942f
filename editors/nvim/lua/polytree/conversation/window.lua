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

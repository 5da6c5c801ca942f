--- A floating window with a list, or a few lines to read.
local M = {}

local api = vim.api

---@class polytree.ListOptions
---@field title string
---@field footer? string
---@field lines string[]
---@field enter? boolean default: true
---@field keys? table<string, fun(line: integer)> what keys of Normal mode do with the line under the cursor, from 1
---@field filetype? string

---@class polytree.List
---@field buf integer
---@field win integer
local List = {}
List.__index = List

---@param lines string[]
---@param title string
---@param footer? string
---@return vim.api.keyset.win_config
local function place(lines, title, footer)
  local width = math.max(40, vim.fn.strdisplaywidth(title), vim.fn.strdisplaywidth(footer or ""))
  for _, line in ipairs(lines) do
    width = math.max(width, vim.fn.strdisplaywidth(line))
  end
  width = math.min(width + 1, math.floor(vim.o.columns * 0.8))
  local height = math.max(1, math.min(#lines, math.floor(vim.o.lines * 0.6)))
  return {
    relative = "editor",
    row = math.max(0, math.floor((vim.o.lines - height) / 2) - 1),
    col = math.floor((vim.o.columns - width) / 2),
    width = width,
    height = height,
    border = "rounded",
    style = "minimal",
    title = (" %s "):format(title),
    footer = footer and (" %s "):format(footer) or nil,
    zindex = 55,
  }
end

--- Shows other lines; the cursor stays on its line.
---@param lines string[]
function List:set(lines)
  if not api.nvim_buf_is_valid(self.buf) then
    return
  end
  vim.bo[self.buf].modifiable = true
  api.nvim_buf_set_lines(self.buf, 0, -1, false, lines)
  vim.bo[self.buf].modifiable = false
  if self:is_open() then
    local config = place(lines, self.title, self.footer)
    api.nvim_win_set_config(self.win, config)
  end
end

---@return boolean
function List:is_open()
  return api.nvim_win_is_valid(self.win)
end

--- Puts the cursor on a line, from 1.
---@param line integer
function List:go(line)
  if self:is_open() then
    api.nvim_win_set_cursor(self.win, { math.max(1, math.min(line, api.nvim_buf_line_count(self.buf))), 0 })
  end
end

function List:close()
  if self:is_open() then
    api.nvim_win_close(self.win, true)
  end
end

--- Opens a list. `q` and `<Esc>` close it.
---@param options polytree.ListOptions
---@return polytree.List
function M.open(options)
  local buf = api.nvim_create_buf(false, true)
  vim.bo[buf].bufhidden = "wipe"
  vim.bo[buf].swapfile = false
  api.nvim_buf_set_lines(buf, 0, -1, false, options.lines)
  vim.bo[buf].modifiable = false
  if options.filetype then
    vim.bo[buf].filetype = options.filetype
  end
  local self = setmetatable({ buf = buf, title = options.title, footer = options.footer }, List)
  self.win = api.nvim_open_win(buf, options.enter ~= false, place(options.lines, options.title, options.footer))
  vim.wo[self.win].wrap = true
  vim.wo[self.win].cursorline = options.keys ~= nil
  for key, run in pairs(options.keys or {}) do
    vim.keymap.set("n", key, function()
      run(api.nvim_win_get_cursor(self.win)[1])
    end, { buffer = buf, nowait = true, desc = "polytree" })
  end
  for _, key in ipairs({ "q", "<Esc>" }) do
    vim.keymap.set("n", key, function()
      self:close()
    end, { buffer = buf, nowait = true, desc = "polytree: close" })
  end
  return self
end

return M

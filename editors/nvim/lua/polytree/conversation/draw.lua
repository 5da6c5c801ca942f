--- Writes a conversation into its buffer: one block of lines for each heading and part.
---
--- Only blocks that changed are written; a text that streams in is appended. Changes are collected for
--- `FLUSH_MS`, so that a fast model costs one write of the buffer for many deltas.
local highlight = require("polytree.conversation.highlight")
local layout = require("polytree.conversation.layout")
local log = require("polytree.log")

local M = {}

local FLUSH_MS = 40
local api = vim.api
local uv = vim.uv or vim.loop

---@class polytree.Block
---@field key string
---@field message string the message that it belongs to
---@field lines integer how many lines it has in the buffer
---@field tail? string of a text: what stands behind its last line break
---@field dim? boolean it is to be highlighted
---@field lit? integer so many of its lines are highlighted for good
---@field fence? string the line that begins the code block in which those end

---@param view polytree.View
---@param write fun()
local function modifying(view, write)
  vim.bo[view.buf].modifiable = true
  local undo_levels = vim.bo[view.buf].undolevels
  vim.bo[view.buf].undolevels = -1
  local ok, why = xpcall(write, debug.traceback)
  vim.bo[view.buf].undolevels = undo_levels
  vim.bo[view.buf].modifiable = false
  vim.bo[view.buf].modified = false
  if not ok then
    log.error("drawing the conversation: %s", why)
  end
end

--- Windows whose cursor stands on the last line follow the text.
---@param view polytree.View
---@return integer[]
local function following(view)
  local last = api.nvim_buf_line_count(view.buf)
  return vim.tbl_filter(function(win)
    return api.nvim_win_get_cursor(win)[1] >= last
  end, vim.fn.win_findbuf(view.buf))
end

--- Puts the cursor of windows to the end.
---@param view polytree.View
---@param windows? integer[] default: all that show it
function M.follow(view, windows)
  local last = api.nvim_buf_line_count(view.buf)
  for _, win in ipairs(windows or vim.fn.win_findbuf(view.buf)) do
    if api.nvim_win_is_valid(win) then
      api.nvim_win_set_cursor(win, { last, 0 })
    end
  end
end

---@param view polytree.View
local function index_blocks(view)
  view.by_key = {}
  for index, block in ipairs(view.blocks) do
    view.by_key[block.key] = index
  end
end

---@param laid polytree.Laid
---@return polytree.Block
local function block_of(laid)
  return { key = laid.key, lines = #laid.lines, message = laid.message, tail = laid.tail, dim = true }
end

--- Writes the whole conversation.
---@param view polytree.View
function M.all(view)
  local lines, blocks = {}, {}
  for _, block in ipairs(layout.all(view.state)) do
    blocks[#blocks + 1] = block_of(block)
    vim.list_extend(lines, block.lines)
  end
  local windows = following(view)
  modifying(view, function()
    highlight.clear(view.buf, 0, -1)
    api.nvim_buf_set_lines(view.buf, 0, -1, false, lines)
  end)
  view.blocks = blocks
  -- What was about to be drawn is in it.
  view.dirty, view.appended = {}, {}
  index_blocks(view)
  M.follow(view, windows)
  highlight.schedule(view, 0)
end

--- Writes the title.
---@param view polytree.View
function M.title(view)
  modifying(view, function()
    local lines = layout.title(view.state)
    highlight.clear(view.buf, 0, 1)
    api.nvim_buf_set_lines(view.buf, 0, 1, false, { lines[1] })
  end)
  if view.blocks[1] then
    view.blocks[1].dim, view.blocks[1].lit = true, 0
    highlight.schedule(view)
  end
end

---@param view polytree.View
---@param index integer
---@return integer the first line of the block, from 0
local function first_line(view, index)
  local line = 0
  for i = 1, index - 1 do
    line = line + view.blocks[i].lines
  end
  return line
end

--- Draws one message again: its blocks are replaced where their lines differ.
---@param view polytree.View
---@param message string
local function draw_message(view, message)
  local wanted = {}
  for index, entry in ipairs(view.state.entries) do
    if entry.info.id == message then
      wanted = layout.entry(entry, view.state.entries[index - 1], view.state:kept(index))
      break
    end
  end

  local from, to
  for index, block in ipairs(view.blocks) do
    if block.message == message then
      from, to = from or index, index
    end
  end
  if not from then
    -- New messages come last; one that became visible late finds its place by the order of the entries.
    from = #view.blocks + 1
    local seen = false
    for _, entry in ipairs(view.state.entries) do
      if seen then
        local later = view.by_key[entry.info.id]
        if later then
          from = later
          break
        end
      end
      seen = seen or entry.info.id == message
    end
    to = from - 1
  end

  local line = first_line(view, from)
  local is_same_shape = to - from + 1 == #wanted
  for offset, block in ipairs(wanted) do
    is_same_shape = is_same_shape and view.blocks[from + offset - 1].key == block.key
  end
  local blocks = {}
  if is_same_shape then
    for offset, block in ipairs(wanted) do
      local known = view.blocks[from + offset - 1]
      local now = api.nvim_buf_get_lines(view.buf, line, line + known.lines, false)
      if not vim.deep_equal(now, block.lines) then
        highlight.clear(view.buf, line, line + known.lines)
        api.nvim_buf_set_lines(view.buf, line, line + known.lines, false, block.lines)
        known.lines, known.dim, known.lit, known.fence = #block.lines, true, 0, nil
      end
      known.tail = block.tail
      line = line + known.lines
    end
    return
  end
  local count, lines = 0, {}
  for index = from, to do
    count = count + view.blocks[index].lines
  end
  for _, block in ipairs(wanted) do
    vim.list_extend(lines, block.lines)
    blocks[#blocks + 1] = block_of(block)
  end
  highlight.clear(view.buf, line, line + count)
  api.nvim_buf_set_lines(view.buf, line, line + count, false, lines)
  local all = vim.list_slice(view.blocks, 1, from - 1)
  vim.list_extend(all, blocks)
  vim.list_extend(all, vim.list_slice(view.blocks, to + 1))
  view.blocks = all
  index_blocks(view)
end

--- Appends to a text that is on the screen already. Returns false where the message must be drawn again.
---
--- A block ends with one empty line. When the text itself ended with a line break, that line is the text's own
--- last one, which the appended text continues.
---@param view polytree.View
---@param part table
---@param text string
---@return boolean
local function append(view, part, text)
  local index = view.by_key[part.id]
  local block = index and view.blocks[index]
  if not block or not block.tail or text:find("[%z\r]") then
    return false
  end
  local stop = first_line(view, index) + block.lines
  local was_open = block.tail ~= ""
  local row, column = stop - (was_open and 2 or 1), #block.tail
  local lines = vim.split(text, "\n", { plain = true })
  block.tail = #lines == 1 and block.tail .. text or lines[#lines]
  if was_open and block.tail == "" then
    lines[#lines] = nil
  elseif not was_open and block.tail ~= "" then
    lines[#lines + 1] = ""
  end
  api.nvim_buf_set_text(view.buf, row, column, row, column, lines)
  block.lines = block.lines + #lines - 1
  block.dim = true
  return true
end

---@param view polytree.View
local function flush(view)
  view.scheduled = false
  if not api.nvim_buf_is_valid(view.buf) then
    return
  end
  local started = uv.hrtime()
  local windows = following(view)
  modifying(view, function()
    for part_id, pieces in pairs(view.appended) do
      local message = pieces.message
      if not view.dirty[message] then
        local entry = view.state.by_id[message]
        local part = entry and entry.by_id[part_id]
        if part and not append(view, part, table.concat(pieces)) then
          view.dirty[message] = true
        end
      end
    end
    view.appended = {}
    -- In the order of the conversation, so that new messages land one below the other.
    for _, entry in ipairs(view.state.entries) do
      if view.dirty[entry.info.id] then
        draw_message(view, entry.info.id)
        view.dirty[entry.info.id] = nil
      end
    end
    for message in pairs(view.dirty) do
      draw_message(view, message)
    end
    view.dirty = {}
  end)
  M.follow(view, windows)
  highlight.schedule(view)
  view.slowest = math.max(view.slowest, (uv.hrtime() - started) / 1e6)
end

--- Draws soon what has changed.
---@param view polytree.View
function M.schedule(view)
  if not view.scheduled then
    view.scheduled = true
    vim.defer_fn(function()
      flush(view)
    end, FLUSH_MS)
  end
end

return M

--- The conversation: a buffer with one block of lines for each heading and part, and the window that shows it.
---
--- Only blocks that changed are written; a text that streams in is appended. Changes are collected for
--- `FLUSH_MS`, so that a fast model costs one write of the buffer for many deltas.
local client = require("polytree.client")
local config = require("polytree.config")
local layout = require("polytree.layout")
local log = require("polytree.log")
local state = require("polytree.state")
local window = require("polytree.window")
local workspace = require("polytree.workspace")

local M = {}

local FLUSH_MS = 40
local api = vim.api
local uv = vim.uv or vim.loop

---@class polytree.Block
---@field key string
---@field message string the message that it belongs to
---@field lines integer how many lines it has in the buffer
---@field tail? string of a text: what stands behind its last line break

---@class polytree.View
---@field buf integer
---@field session_id string
---@field state polytree.State
---@field blocks polytree.Block[]
---@field by_key table<string, integer> index into `blocks`
---@field subscription? polytree.Subscription
---@field dirty table<string, true> messages to draw again
---@field appended table<string, string[]> pieces by part id
---@field scheduled boolean
---@field slowest number longest run of a flush, in milliseconds
---@field loaded boolean
---@field loading? boolean older messages are being read
---@field early table[] events that came before the first read
---@field waiting fun()[] called after the first read

---@type table<string, polytree.View> by session
local views = {}
M.views = views
---@type table<integer, polytree.View> by buffer
local by_buffer = {}

---@param buf integer
---@return polytree.View?
function M.of_buffer(buf)
  return by_buffer[buf]
end

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

---@param view polytree.View
---@param windows integer[]
local function follow(view, windows)
  local last = api.nvim_buf_line_count(view.buf)
  for _, win in ipairs(windows) do
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

--- Writes the whole conversation.
---@param view polytree.View
local function draw_all(view)
  local lines, blocks = {}, {}
  for _, block in ipairs(layout.all(view.state)) do
    blocks[#blocks + 1] = { key = block.key, lines = #block.lines, message = block.message, tail = block.tail }
    vim.list_extend(lines, block.lines)
  end
  local windows = following(view)
  modifying(view, function()
    api.nvim_buf_set_lines(view.buf, 0, -1, false, lines)
  end)
  view.blocks = blocks
  -- What was about to be drawn is in it.
  view.dirty, view.appended = {}, {}
  index_blocks(view)
  follow(view, windows)
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
      wanted = layout.entry(entry, view.state.entries[index - 1])
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
        api.nvim_buf_set_lines(view.buf, line, line + known.lines, false, block.lines)
        known.lines = #block.lines
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
    blocks[#blocks + 1] = { key = block.key, lines = #block.lines, message = message, tail = block.tail }
  end
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
  -- Only what is new is inserted: Neovim parses what is replaced again.
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
  follow(view, windows)
  view.slowest = math.max(view.slowest, (uv.hrtime() - started) / 1e6)
end

---@param view polytree.View
local function schedule(view)
  if not view.scheduled then
    view.scheduled = true
    vim.defer_fn(function()
      flush(view)
    end, FLUSH_MS)
  end
end

local on_event

---@param view polytree.View
---@param event table
on_event = function(view, event)
  if event.type == "polytree.gap" then
    return M.load(view)
  elseif event.type == "server.connected" then
    -- Read only once the events are coming: what is in both is known by its cursor.
    return not view.loaded and M.load(view)
  elseif not view.loaded then
    view.early[#view.early + 1] = event
    return
  end
  local change = view.state:apply(event)
  if not change then
    return
  end
  if change.kind == "append" then
    local pieces = view.appended[change.part] or { message = change.message }
    pieces[#pieces + 1] = change.text
    view.appended[change.part] = pieces
    return schedule(view)
  elseif change.kind == "message" or change.kind == "part" or change.kind == "removed" then
    view.dirty[change.message] = true
    schedule(view)
    if change.resolve then
      M.read_message(view, change.message)
    end
  elseif change.kind == "session" then
    modifying(view, function()
      local title = view.state.session.title:gsub("%c", " ")
      api.nvim_buf_set_lines(view.buf, 0, 1, false, { "# " .. title })
    end)
  elseif change.kind == "error" and view.state.error then
    local data = view.state.error.data or {}
    log.warn("session %s: %s: %s", view.session_id, view.state.error.name, data.message or "")
  end
  window.redraw_status()
end

--- Reads one message anew, for texts that travel as references.
---@param view polytree.View
---@param message string
function M.read_message(view, message)
  client.request("session.message", { sessionID = view.session_id, messageID = message }, function(read)
    view.state:replace(read)
    view.dirty[message] = true
    schedule(view)
  end, function(err)
    log.warn("session.message: %s", err.message)
  end)
end

--- Reads the last page of the session and draws it.
---@param view polytree.View
function M.load(view)
  local page = config.values.page
  client.request("session.get", { sessionID = view.session_id }, function(session)
    client.request("session.messages", { sessionID = view.session_id, limit = page }, function(read)
      if not api.nvim_buf_is_valid(view.buf) then
        return
      end
      local fresh = state.new(view.session_id)
      fresh.session = session
      fresh.status = workspace.statuses[view.session_id] or { type = "idle" }
      fresh:prepend(read, #read < page)
      view.state, view.dirty, view.appended, view.loaded = fresh, {}, {}, true
      draw_all(view)
      follow(view, vim.fn.win_findbuf(view.buf))
      local early = view.early
      view.early = {}
      for _, event in ipairs(early) do
        on_event(view, event)
      end
      local waiting = view.waiting
      view.waiting = {}
      for _, done in ipairs(waiting) do
        done()
      end
    end)
  end)
end

--- Reads the page of messages before those that are shown. The text on the screen stays where it is.
---@param view polytree.View
---@param done? fun()
function M.older(view, done)
  local before = view.state:oldest()
  if view.state.complete or not before or view.loading then
    return
  end
  view.loading = true
  local page = config.values.page
  client.request("session.messages", { sessionID = view.session_id, limit = page, before = before }, function(read)
    view.loading = false
    local old = api.nvim_buf_line_count(view.buf)
    local places = {}
    for _, win in ipairs(vim.fn.win_findbuf(view.buf)) do
      places[win] = api.nvim_win_get_cursor(win)
    end
    view.state:prepend(read, #read < page)
    draw_all(view)
    local added = api.nvim_buf_line_count(view.buf) - old
    for win, place in pairs(places) do
      api.nvim_win_set_cursor(win, { math.max(1, place[1] + added), place[2] })
    end
    if done then
      done()
    end
  end, function(err)
    view.loading = false
    log.notify(err.message, vim.log.levels.ERROR)
  end)
end

---@param session_id string
---@return polytree.View
local function create(session_id)
  local buf = api.nvim_create_buf(false, true)
  local view = {
    buf = buf,
    session_id = session_id,
    state = state.new(session_id),
    blocks = {},
    by_key = {},
    dirty = {},
    appended = {},
    scheduled = false,
    slowest = 0,
    loaded = false,
    early = {},
    waiting = {},
  }
  views[session_id], by_buffer[buf] = view, view
  api.nvim_buf_set_name(buf, "polytree://" .. session_id)
  vim.bo[buf].bufhidden = "hide"
  vim.bo[buf].swapfile = false
  vim.bo[buf].modifiable = false
  vim.bo[buf].filetype = "polytree"
  vim.b[buf].polytree_session = session_id
  api.nvim_create_autocmd("BufWipeout", {
    buffer = buf,
    once = true,
    callback = function()
      views[session_id], by_buffer[buf] = nil, nil
      if view.subscription then
        client.unsubscribe(view.subscription)
      end
    end,
  })
  return view
end

--- The window of the current tab page that shows a conversation.
---@return integer?
function M.window()
  for _, win in ipairs(api.nvim_tabpage_list_wins(0)) do
    if by_buffer[api.nvim_win_get_buf(win)] then
      return win
    end
  end
end

--- Shows a session, in the window that already shows one where there is one.
---@param session_id string
---@param options? { enter?: boolean, done?: fun() }
---@return polytree.View
function M.show(session_id, options)
  options = options or {}
  local view = views[session_id]
  local is_new = not view
  view = view or create(session_id)
  workspace.current = session_id

  local here = api.nvim_get_current_win()
  local win = M.window()
  if not win or config.values.position == "current" then
    win = window.open()
  end
  -- 'winfixbuf' is for the windows of others; in ours the session changes.
  api.nvim_win_set_buf(win, view.buf)
  window.set_options(win)
  if options.enter == false and api.nvim_win_is_valid(here) then
    api.nvim_set_current_win(here)
  else
    api.nvim_set_current_win(win)
  end

  if options.done then
    if view.loaded then
      options.done()
    else
      table.insert(view.waiting, options.done)
    end
  end
  if is_new then
    view.subscription = client.subscribe({ sessionID = session_id, blobs = "inline" }, function(event)
      if event.sessionID == session_id or event.type == "polytree.gap" or event.type == "server.connected" then
        on_event(view, event)
      end
    end)
  end
  return view
end

--- Where a message's tool call under the cursor comes from.
---@param view polytree.View
---@param line integer from 1
---@return table? part, table? info
function M.part_at(view, line)
  local first = 1
  for _, block in ipairs(view.blocks) do
    if line < first + block.lines then
      local entry = view.state.by_id[block.message]
      return entry and entry.by_id[block.key], entry and entry.info
    end
    first = first + block.lines
  end
end

return M

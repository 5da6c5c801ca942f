--- The conversation: its buffer, the window that shows it, and the events that change it.
local client = require("polytree.daemon.client")
local config = require("polytree.config")
local draw = require("polytree.conversation.draw")
local log = require("polytree.log")
local state = require("polytree.conversation.state")
local window = require("polytree.conversation.window")
local workspace = require("polytree.daemon.workspace")

local M = {}

local api = vim.api

---@class polytree.View
---@field buf integer
---@field session_id string
---@field state polytree.State
---@field blocks polytree.Block[]
---@field by_key table<string, integer> index into `blocks`
---@field subscription? polytree.Subscription
---@field dirty table<string, true> messages to draw again
---@field appended table<string, string[]> pieces by part id
---@field scheduled boolean it is drawn soon
---@field lighting boolean it is highlighted soon
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
    return draw.schedule(view)
  elseif change.kind == "message" or change.kind == "part" or change.kind == "removed" then
    view.dirty[change.message] = true
    draw.schedule(view)
    if change.resolve then
      M.read_message(view, change.message)
    end
  elseif change.kind == "session" then
    if change.undone then
      draw.all(view)
    else
      draw.title(view)
    end
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
    draw.schedule(view)
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
      draw.all(view)
      draw.follow(view)
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
    draw.all(view)
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
    lighting = false,
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

  require("polytree.review").follow(session_id)
  require("polytree.daemon.usage").follow(session_id)
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

--- Review of what sessions have changed, hunk by hunk: signs beside the lines, keeping and undoing, going from one to
--- the next. The hunks and what was decided about them are the daemon's: other clients show the same.
local client = require("polytree.daemon.client")
local log = require("polytree.log")
local render = require("polytree.conversation.render")
local rpc = require("polytree.daemon.rpc")
local workspace = require("polytree.daemon.workspace")

local M = {}

local api = vim.api
local namespace = api.nvim_create_namespace("polytree.review")

--- The hunks of each session that was looked at, by the absolute path of the file.
---@type table<string, table<string, polytree.protocol.Hunk[]>>
local sessions = {}
--- Which hunk a mark stands for, by buffer.
---@type table<integer, table<integer, { hunk: polytree.protocol.Hunk, session: string }>>
local marks = {}

---@param hunk polytree.protocol.Hunk
---@return boolean
local function is_open(hunk)
  return hunk.state == "open"
end

---@param text? string
---@return integer
local function count_lines(text)
  if not text or text == "" then
    return 0
  end
  return select(2, text:gsub("\n", "")) + (text:sub(-1) == "\n" and 0 or 1)
end

---@param buf integer
---@return string? path
local function path_of(buf)
  return require("polytree.prompt.context").path_of(buf)
end

--- Puts the signs of open hunks into a buffer.
---@param buf integer
local function mark(buf)
  api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  marks[buf] = nil
  local path = api.nvim_buf_is_loaded(buf) and path_of(buf)
  if not path then
    return
  end
  local last = api.nvim_buf_line_count(buf) - 1
  for session, files in pairs(sessions) do
    for _, hunk in ipairs(vim.tbl_filter(is_open, files[path] or {})) do
      local start, stop = hunk.range.start.line, hunk.range["end"].line
      local is_removal = start == stop and hunk.range.start.character == hunk.range["end"].character
      local kind = is_removal and "Delete" or hunk.before == "" and "Add" or "Change"
      start = math.min(start, last)
      stop =
        math.max(start, math.min(is_removal and stop or hunk.range["end"].character == 0 and stop - 1 or stop, last))
      local id = api.nvim_buf_set_extmark(buf, namespace, start, 0, {
        end_row = stop,
        sign_text = is_removal and "▔" or "┃",
        sign_hl_group = "PolytreeHunk" .. kind,
        number_hl_group = "PolytreeHunk" .. kind,
        -- The text of the extmark's last line belongs to it too.
        end_col = 0,
      })
      for line = start + 1, stop do
        api.nvim_buf_set_extmark(buf, namespace, line, 0, {
          sign_text = "┃",
          sign_hl_group = "PolytreeHunk" .. kind,
          number_hl_group = "PolytreeHunk" .. kind,
        })
      end
      marks[buf] = marks[buf] or {}
      marks[buf][id] = { hunk = hunk, session = session }
    end
  end
end

---@param path string
local function mark_path(path)
  for _, buf in ipairs(api.nvim_list_bufs()) do
    if api.nvim_buf_is_loaded(buf) and path_of(buf) == path then
      mark(buf)
    end
  end
end

---@param session_id string
---@param hunks polytree.protocol.Hunk[]
local function take(session_id, hunks)
  local files = {}
  for _, hunk in ipairs(hunks) do
    files[hunk.path] = files[hunk.path] or {}
    table.insert(files[hunk.path], hunk)
  end
  local paths = vim.tbl_keys(vim.tbl_extend("force", sessions[session_id] or {}, files))
  sessions[session_id] = files
  for _, path in ipairs(paths) do
    mark_path(path)
  end
  require("polytree.events").fire("Hunks", { sessionID = session_id, open = M.count(session_id) })
  require("polytree.conversation.window").redraw_status()
end

--- How many hunks of a session nobody has decided about.
---@param session_id string
---@return integer
function M.count(session_id)
  local count = 0
  for _, hunks in pairs(sessions[session_id] or {}) do
    count = count + #vim.tbl_filter(is_open, hunks)
  end
  return count
end

--- Reads the hunks of a session.
---@param session_id string
---@param done? fun(hunks: polytree.protocol.Hunk[])
function M.read(session_id, done)
  if not client.client.methods["hunk.list"] then
    if done then
      log.notify("this polytree is too old for a review: update it", vim.log.levels.ERROR)
    end
    return
  end
  client.request("hunk.list", { sessionID = session_id }, function(hunks)
    take(session_id, hunks)
    if done then
      done(hunks)
    end
  end, function(err)
    if done then
      log.notify(rpc.describe(err), vim.log.levels.ERROR)
    else
      log.warn("hunk.list: %s", rpc.describe(err))
    end
  end)
end

local is_started = false

--- Begins to show the hunks of a session.
---@param session_id string
function M.follow(session_id)
  if not is_started then
    is_started = true
    for kind, group in pairs({ Add = "Added", Change = "Changed", Delete = "Removed" }) do
      api.nvim_set_hl(0, "PolytreeHunk" .. kind, { link = group, default = true })
    end
    workspace.on("hunk.updated", function(event)
      if sessions[event.properties.sessionID] then
        M.read(event.properties.sessionID)
      end
    end)
    api.nvim_create_autocmd({ "BufReadPost", "BufFilePost", "BufWinEnter" }, {
      group = api.nvim_create_augroup("polytree.review", { clear = true }),
      callback = function(event)
        if not marks[event.buf] then
          mark(event.buf)
        end
      end,
    })
  end
  if not sessions[session_id] then
    sessions[session_id] = {}
    M.read(session_id)
  end
end

--- The hunks under lines of a buffer; without lines, the open ones of the file. Marks have moved with the text.
---@param buf integer
---@param range? [integer, integer] from 1
---@return { hunk: polytree.protocol.Hunk, session: string, line: integer }[] from the top of the file
function M.hunks_of(buf, range)
  local found = {}
  for id, known in pairs(marks[buf] or {}) do
    local place = api.nvim_buf_get_extmark_by_id(buf, namespace, id, { details = true })
    if #place > 0 then
      local first, last = place[1] + 1, (place[3].end_row or place[1]) + 1
      if not range or (first <= range[2] and range[1] <= last) then
        found[#found + 1] = { hunk = known.hunk, session = known.session, line = first }
      end
    end
  end
  table.sort(found, function(a, b)
    return a.line < b.line
  end)
  return found
end

---@param method "hunk.keep"|"hunk.undo"
---@param params table
---@param done? fun(count: integer)
local function decide(method, params, done)
  client.request(method, params, function(changed)
    M.read(params.sessionID)
    if done then
      done(#changed)
    end
  end, function(err)
    local conflicts = err.data and type(err.data.files) == "table" and err.data.files
    if not conflicts or params.partial then
      return log.notify(rpc.describe(err), vim.log.levels.ERROR)
    end
    log.notify(
      table.concat(render.files({ files = conflicts } --[[@as polytree.protocol.SessionRevert]]), "\n"),
      vim.log.levels.WARN
    )
    vim.ui.select({ "Undo the rest", "Cancel" }, { prompt = err.message, kind = "polytree_undo" }, function(_, index)
      if index == 1 then
        decide(method, vim.tbl_extend("force", params, { partial = true }), done)
      end
    end)
  end)
end

--- Keeps or undoes hunks.
---@param verb "keep"|"undo"
---@param what? "hunk"|"file"|"all" default: the hunks under the cursor, or under the lines of a range
---@param range? [integer, integer]
function M.decide(verb, what, range)
  local buf = api.nvim_get_current_buf()
  local method = verb == "keep" and "hunk.keep" or "hunk.undo"
  local function told(count)
    log.notify(("%d hunk%s %s"):format(count, count == 1 and "" or "s", verb == "keep" and "kept" or "undone"))
  end
  if what == "all" then
    return require("polytree").with_session(function(id)
      decide(method, { sessionID = id }, told)
    end)
  elseif what == "file" then
    local paths = {}
    for _, known in ipairs(M.hunks_of(buf)) do
      paths[known.session] = known.hunk.path
    end
    if next(paths) == nil then
      return log.notify("no open hunk is in this file", vim.log.levels.WARN)
    end
    for session, path in pairs(paths) do
      decide(method, { sessionID = session, path = path }, told)
    end
    return
  end
  local line = api.nvim_win_get_cursor(0)[1]
  local found = M.hunks_of(buf, range or { line, line })
  if vim.bo[buf].buftype == "quickfix" then
    -- Also those that were decided about: what is undone can be kept again.
    found = {}
    for index = range and range[1] or line, range and range[2] or line do
      local data = (vim.fn.getqflist()[index] or {}).user_data
      if type(data) == "table" and data.hunkID then
        found[#found + 1] = { hunk = { hunkID = data.hunkID }, session = data.sessionID }
      end
    end
  end
  if #found == 0 then
    return log.notify("no open hunk is here; :Polytree next goes to one", vim.log.levels.WARN)
  end
  -- One after the other: each changes the text for the next.
  local function one(index)
    if found[index] then
      decide(method, { sessionID = found[index].session, hunkID = found[index].hunk.hunkID }, function()
        one(index + 1)
      end)
    end
  end
  one(1)
end

--- Goes to the next open hunk, in this file or the next one.
---@param step 1|-1
function M.go(step)
  local buf = api.nvim_get_current_buf()
  local line = api.nvim_win_get_cursor(0)[1]
  local here = M.hunks_of(buf)
  for index = step > 0 and 1 or #here, step > 0 and #here or 1, step do
    local place = here[index].line
    if (step > 0 and place > line) or (step < 0 and place < line) then
      return api.nvim_win_set_cursor(0, { place, 0 })
    end
  end
  local paths = {}
  for _, files in pairs(sessions) do
    for path, hunks in pairs(files) do
      if #vim.tbl_filter(is_open, hunks) > 0 and vim.fn.filereadable(path) == 1 then
        paths[path] = true
      end
    end
  end
  local all = vim.tbl_keys(paths)
  table.sort(all)
  if #all == 0 then
    return log.notify("no hunk is open")
  end
  local own = path_of(buf)
  local wanted = step > 0 and all[1] or all[#all]
  for index = step > 0 and 1 or #all, step > 0 and #all or 1, step do
    if own and ((step > 0 and all[index] > own) or (step < 0 and all[index] < own)) then
      wanted = all[index]
      break
    end
  end
  if wanted ~= own then
    vim.cmd.edit(vim.fn.fnameescape(wanted))
  end
  local there = M.hunks_of(api.nvim_get_current_buf())
  local target = there[step > 0 and 1 or #there]
  if target then
    api.nvim_win_set_cursor(0, { target.line, 0 })
  end
end

--- Puts the hunks of a session into the quickfix list.
---@param session_id string
function M.list(session_id)
  M.read(session_id, function(hunks)
    if #hunks == 0 then
      return log.notify("the session has changed no file")
    end
    local items = {}
    for index, hunk in ipairs(hunks) do
      local counts = hunk.before and hunk.after
      local words = counts and ("+%d -%d"):format(count_lines(hunk.after), count_lines(hunk.before)) or "not text"
      items[index] = {
        filename = hunk.path,
        lnum = hunk.range.start.line + 1,
        end_lnum = hunk.range["end"].line + 1,
        type = is_open(hunk) and "I" or "",
        text = ("%s %s"):format(hunk.state, words),
        user_data = { hunkID = hunk.hunkID, sessionID = session_id },
      }
    end
    vim.fn.setqflist({}, " ", { title = "polytree: hunks of the session", items = items })
    vim.cmd("botright copen")
  end)
end

return M

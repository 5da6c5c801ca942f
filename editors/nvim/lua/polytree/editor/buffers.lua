--- Unsaved text: what is open below the directory is announced to the daemon, which reads it before the disk and asks
--- us to make the edits of tools, so that they can be undone here. Buffers whose files others changed are read anew.
local client = require("polytree.daemon.client")
local config = require("polytree.config")
local events = require("polytree.events")
local log = require("polytree.log")
local workspace = require("polytree.daemon.workspace")

local M = {}

local api = vim.api
local uv = vim.uv or vim.loop

---@class polytree.Announced
---@field path string
---@field version integer
---@field lines integer
---@field stale boolean the text is about to be sent whole
---@field is_empty boolean the text was announced as empty, which a buffer shows as one empty line

---@type table<integer, polytree.Announced>
local announced = {}
M.announced = announced
--- Called with each buffer that is announced.
---@type fun(buf: integer)
M.on_announced = function() end
local group = api.nvim_create_augroup("polytree.buffers", { clear = true })

--- Whether the buffer holds exactly the text that it would save: UTF-8 without a mark, and no line break that is none for
--- Neovim. Files of other kinds are left to the daemon, which keeps their encoding and their line breaks.
---@param buf integer
---@return boolean
local function is_plain(buf)
  local options = vim.bo[buf]
  return not options.binary
    and not options.readonly
    and not options.bomb
    and options.fileformat ~= "mac"
    and (options.fileencoding == "" or options.fileencoding == "utf-8")
end

---@param buf integer
---@return string? path where the buffer is one to announce
local function eligible(buf)
  if not api.nvim_buf_is_loaded(buf) or vim.bo[buf].buftype ~= "" or not is_plain(buf) then
    return nil
  end
  local name = api.nvim_buf_get_name(buf)
  if name == "" or name:match("^%a[%w+.-]*://") then
    return nil
  end
  local path = uv.fs_realpath(name)
  if not path then
    -- A new file: its folder may be behind a link.
    local folder = uv.fs_realpath(vim.fs.dirname(vim.fs.normalize(name)))
    path = folder and folder .. "/" .. vim.fs.basename(name)
  end
  if not path or not vim.startswith(path, client.directory() .. "/") then
    return nil
  end
  return path
end

---@param buf integer
---@return string
local function line_break(buf)
  return vim.bo[buf].fileformat == "dos" and "\r\n" or "\n"
end

--- Whether the text has no line break at its end.
---@param buf integer
---@return boolean
local function is_open_ended(buf)
  return not vim.bo[buf].endofline
end

--- Lines as they would be saved; nil where one holds a line break that Neovim does not see as one.
---@param buf integer
---@param first integer
---@param last integer
---@return string?
local function text_of(buf, first, last)
  local lines = api.nvim_buf_get_lines(buf, first, last, false)
  for _, line in ipairs(lines) do
    if line:find("[\r\n]") then
      return nil
    end
  end
  if #lines == 0 then
    return ""
  end
  local separator = line_break(buf)
  return table.concat(lines, separator) .. separator
end

--- The text as it would be saved; nil where the daemon would count its lines otherwise.
---@param buf integer
---@return string?
local function whole(buf)
  local text = text_of(buf, 0, -1)
  if not text then
    return nil
  end
  if is_open_ended(buf) then
    text = text:sub(1, -#line_break(buf) - 1)
  end
  -- An empty buffer of an empty file holds one empty line.
  if api.nvim_buf_line_count(buf) == 1 and text:match("^\r?\n?$") and not vim.bo[buf].modified then
    local stat = uv.fs_stat(api.nvim_buf_get_name(buf))
    if not stat or stat.size == 0 then
      return ""
    end
  end
  return text
end

---@param buf integer
local function close(buf)
  local entry = announced[buf]
  if entry then
    announced[buf] = nil
    client.send_now("buffer.close", { path = entry.path })
  end
end

---@param buf integer
local function send_whole(buf)
  local entry = announced[buf]
  local text = whole(buf)
  if not text then
    return close(buf)
  end
  entry.version = api.nvim_buf_get_changedtick(buf)
  entry.lines = api.nvim_buf_line_count(buf)
  entry.is_empty = text == ""
  client.send_now("buffer.open", { path = entry.path, version = entry.version, text = text })
end

--- Sends the text whole once the change that is being made is complete.
---@param buf integer
---@param entry polytree.Announced
local function send_whole_later(buf, entry)
  if entry.stale then
    return
  end
  entry.stale = true
  vim.schedule(function()
    if announced[buf] == entry and api.nvim_buf_is_loaded(buf) then
      entry.stale = false
      send_whole(buf)
    end
  end)
end

---@param buf integer
---@param entry polytree.Announced
---@param tick integer
---@param first integer
---@param last integer
---@param new_last integer
local function on_lines(buf, entry, tick, first, last, new_last)
  local expected = entry.lines - (last - first) + (new_last - first)
  local count = api.nvim_buf_line_count(buf)
  if entry.stale or entry.is_empty or is_open_ended(buf) or expected ~= count or tick <= entry.version then
    -- Deleting everything leaves one empty line that is not told; text without a last line break is not made of
    -- whole lines.
    return send_whole_later(buf, entry)
  end
  local text = text_of(buf, first, new_last)
  if not text then
    return close(buf)
  end
  entry.version, entry.lines, entry.is_empty = tick, count, false
  client.send_now("buffer.change", {
    path = entry.path,
    version = tick,
    edits = {
      {
        range = { start = { line = first, character = 0 }, ["end"] = { line = last, character = 0 } },
        text = text,
      },
    },
  }, function(err)
    if err and announced[buf] == entry then
      log.warn("buffer.change %s: %s", entry.path, err.message)
      send_whole_later(buf, entry)
    end
  end)
end

---@param buf integer
local function announce(buf)
  if not config.values.announce_buffers or client.client.state ~= "ready" then
    return
  end
  local path = eligible(buf)
  if announced[buf] and announced[buf].path ~= path then
    close(buf)
  end
  if not path or announced[buf] then
    return
  end
  local size = api.nvim_buf_get_offset(buf, api.nvim_buf_line_count(buf))
  if size > config.values.announce_limit then
    return
  end
  local entry = { path = path, version = 0, lines = 0, stale = false, is_empty = false }
  announced[buf] = entry
  send_whole(buf)
  if announced[buf] ~= entry then
    return
  end
  M.on_announced(buf)
  api.nvim_buf_attach(buf, false, {
    on_lines = function(_, _, tick, first, last, new_last)
      if announced[buf] ~= entry then
        return true
      end
      on_lines(buf, entry, tick, first, last, new_last)
    end,
    on_reload = function()
      if announced[buf] == entry then
        send_whole_later(buf, entry)
      end
    end,
    on_detach = function()
      vim.schedule(function()
        if announced[buf] == entry then
          close(buf)
        end
      end)
    end,
  })
end

local function announce_all()
  for _, buf in ipairs(api.nvim_list_bufs()) do
    announce(buf)
  end
end

---@param path string
---@return integer?
local function buffer_of(path)
  for buf, entry in pairs(announced) do
    if entry.path == path then
      return buf
    end
  end
  for _, buf in ipairs(api.nvim_list_bufs()) do
    if api.nvim_buf_is_loaded(buf) and vim.bo[buf].buftype == "" then
      local name = api.nvim_buf_get_name(buf)
      if name == path or (name ~= "" and uv.fs_realpath(name) == path) then
        return buf
      end
    end
  end
end

--- Whether the file on the disk is what an unmodified buffer shows: others may have written it a moment ago.
---@param buf integer
---@param path string
---@return boolean
local function is_as_on_disk(buf, path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text == whole(buf)
end

--- Saves a buffer as it is, without adding a line break at its end.
---@param buf integer
---@return boolean
local function save(buf)
  local options = vim.bo[buf]
  local fixes = options.fixendofline
  options.fixendofline = false
  local ok, why = pcall(api.nvim_buf_call, buf, function()
    vim.cmd("silent lockmarks noautocmd write")
  end)
  options.fixendofline = fixes
  if not ok then
    log.warn("saving %s: %s", api.nvim_buf_get_name(buf), tostring(why))
  end
  return ok and not options.modified
end

--- Makes the edits in the buffer, as one step of undo.
---@param buf integer
---@param entry polytree.Announced
---@param changes table[]
---@return boolean
local function apply(buf, entry, changes)
  if entry.is_empty and #changes == 1 then
    -- The empty line that an empty buffer shows is none of the file's.
    local lines = vim.split((changes[1].text:gsub("\r\n", "\n")), "\n", { plain = true })
    if #lines > 1 and lines[#lines] == "" then
      table.remove(lines)
    end
    return (pcall(api.nvim_buf_set_lines, buf, 0, -1, false, lines))
  end
  local edits = {}
  for _, change in ipairs(changes) do
    edits[#edits + 1] = { range = change.range, newText = change.text }
  end
  return (pcall(vim.lsp.util.apply_text_edits, edits, buf, "utf-16"))
end

--- Answers an edit of a tool: makes it in the buffer, or says why not.
---@param event table
local function on_edit(event)
  local edit = event.properties
  local buf = buffer_of(edit.path)
  local entry = buf and announced[buf]
  local function refuse(message)
    client.send_now("buffer.reply", { editID = edit.editID, applied = false, message = message })
  end
  if not entry or not api.nvim_buf_is_loaded(buf) then
    return refuse("the editor has closed the file")
  elseif entry.stale or entry.version ~= edit.version then
    return refuse("the user is editing the file; read it again")
  elseif not vim.bo[buf].modifiable or not is_plain(buf) then
    return refuse("the user's buffer cannot be changed")
  end
  for _, change in ipairs(edit.edits) do
    if (change.text:gsub("\r\n", "")):find("\r") then
      return refuse("the text has line breaks that the editor cannot show")
    end
  end
  local was_modified = vim.bo[buf].modified
  if not was_modified and not is_as_on_disk(buf, edit.path) then
    vim.schedule(function()
      M.reload(edit.path)
    end)
    return refuse("the file on the disk has changed; read it again")
  end
  if not apply(buf, entry, edit.edits) then
    log.error("buffer.edit %s could not be made", edit.path)
    return refuse("the edit could not be made in the editor")
  end
  if entry.stale then
    -- What is told later is told now: the answer names its version.
    entry.stale = false
    send_whole(buf)
  end
  -- The file on the disk was the same as the buffer: it stays so.
  local saved = not was_modified and save(buf)
  client.send_now("buffer.reply", { editID = edit.editID, applied = true, version = entry.version, saved = saved })
  events.fire("Edited", { path = edit.path, buf = buf })
end

--- Reads the buffer of a file anew where it has no unsaved text; says so where it has.
---@param path string
function M.reload(path)
  local buf = buffer_of(path)
  if not buf or not config.values.reload then
    return
  end
  if vim.bo[buf].modified then
    local stat = uv.fs_stat(path)
    -- Our own write of an edit is no change by others.
    if stat and vim.b[buf].polytree_warned ~= stat.mtime.sec .. "." .. stat.mtime.nsec then
      vim.b[buf].polytree_warned = stat.mtime.sec .. "." .. stat.mtime.nsec
      log.notify(
        ("%s has changed on the disk and has unsaved text here: `:e!` reads it anew"):format(
          vim.fn.fnamemodify(path, ":.")
        ),
        vim.log.levels.WARN
      )
    end
    return
  end
  local autoread = vim.bo[buf].autoread
  vim.bo[buf].autoread = true
  pcall(vim.cmd.checktime, buf)
  if api.nvim_buf_is_valid(buf) then
    vim.bo[buf].autoread = autoread
  end
  events.fire("Edited", { path = path, buf = buf })
end

local started = false

--- Begins to announce and to reload. Calling it again does nothing.
function M.start()
  if started then
    return
  end
  started = true
  api.nvim_create_autocmd({ "BufReadPost", "BufNewFile", "BufEnter", "BufFilePost", "BufWritePost" }, {
    group = group,
    callback = function(event)
      announce(event.buf)
    end,
  })
  api.nvim_create_autocmd({ "BufUnload", "BufDelete" }, {
    group = group,
    callback = function(event)
      close(event.buf)
    end,
  })
  client.on_direct("buffer.edit", on_edit)
  client.on_direct("buffer.reset", function(event)
    local missing = {}
    for _, path in ipairs(event.properties.paths) do
      missing[path] = true
    end
    for buf, entry in pairs(announced) do
      if missing[entry.path] then
        missing[entry.path] = nil
        send_whole(buf)
      end
    end
    for path in pairs(missing) do
      client.send_now("buffer.close", { path = path })
    end
  end)
  client.on("ended", function()
    for buf in pairs(announced) do
      announced[buf] = nil
    end
  end)
  client.on("ready", announce_all)
  workspace.on("file.edited", function(event)
    M.reload(event.properties.path)
  end)
  workspace.on("file.changed", function(event)
    if event.properties.event ~= "unlink" then
      M.reload(event.properties.path)
    end
  end)
  announce_all()
end

return M

--- What goes along with a prompt: the selection, files, diagnostics, changes.
local client = require("polytree.daemon.client")

local M = {}

--- More diagnostics are counted, not listed.
local MAX_DIAGNOSTICS = 50

---@param path string absolute
---@return string
function M.relative(path)
  local directory = client.directory()
  if vim.startswith(path, directory .. "/") then
    return path:sub(#directory + 2)
  end
  return path
end

--- An address of a file, percent-encoded.
---@param path string absolute
---@param first? integer from 1
---@param last? integer
---@return string
function M.url(path, first, last)
  local encoded = path:gsub("[^%w%-%._~/]", function(character)
    return ("%%%02X"):format(character:byte())
  end)
  local url = "file://" .. encoded
  if first then
    url = ("%s?start=%d&end=%d"):format(url, first, last or first)
  end
  return url
end

--- A file, or some lines of it, as a part of a prompt.
---@param path string absolute
---@param first? integer
---@param last? integer
---@return table
function M.file(path, first, last)
  local is_directory = vim.fn.isdirectory(path) == 1
  return {
    type = "file",
    mime = is_directory and "application/x-directory" or "text/plain",
    filename = M.relative(path),
    url = M.url(path, first, last),
  }
end

---@param buf integer
---@return string?
function M.path_of(buf)
  local name = vim.api.nvim_buf_get_name(buf)
  if name == "" or vim.bo[buf].buftype ~= "" then
    return nil
  end
  return (vim.uv or vim.loop).fs_realpath(name) or vim.fs.normalize(name)
end

--- The lines of a buffer. Of a file they are read by the daemon, with their unsaved text; of anything else (a
--- terminal, a help page) the text itself goes along.
---@param buf integer
---@param first integer from 1
---@param last integer
---@return table part
function M.selection(buf, first, last)
  local path = M.path_of(buf)
  if path and vim.fn.filereadable(path) == 1 then
    return M.file(path, first, last)
  end
  local lines = vim.api.nvim_buf_get_lines(buf, first - 1, last, false)
  local name = vim.api.nvim_buf_get_name(buf)
  local title = name ~= "" and name or "an unnamed buffer"
  return {
    type = "text",
    synthetic = true,
    text = ("Lines %d to %d of %s:\n%s"):format(first, last, title, table.concat(lines, "\n")),
  }
end

local SEVERITY = { "error", "warning", "information", "hint" }

--- The diagnostics of a buffer (all buffers for nil) as text for the model; nil where there are none.
---@param buf? integer
---@return table? part
function M.diagnostics(buf)
  local found = vim.diagnostic.get(buf)
  if #found == 0 then
    return nil
  end
  table.sort(found, function(a, b)
    if a.severity ~= b.severity then
      return a.severity < b.severity
    elseif a.bufnr ~= b.bufnr then
      return a.bufnr < b.bufnr
    end
    return a.lnum < b.lnum
  end)
  local lines = { "Diagnostics of the editor:" }
  for index, item in ipairs(found) do
    if index > MAX_DIAGNOSTICS then
      lines[#lines + 1] = ("… and %d more"):format(#found - MAX_DIAGNOSTICS)
      break
    end
    local path = M.relative(vim.api.nvim_buf_get_name(item.bufnr))
    local source = item.source and (" [%s]"):format(item.source) or ""
    lines[#lines + 1] = ("%s:%d:%d: %s: %s%s"):format(
      path,
      item.lnum + 1,
      item.col + 1,
      SEVERITY[item.severity] or "?",
      item.message:gsub("\n", " "),
      source
    )
  end
  return { type = "text", synthetic = true, text = table.concat(lines, "\n") }
end

--- Lines around a change that are told with it.
local AROUND = 3
--- Longer changes are cut, in bytes.
local MAX_CHANGES = 64 * 1024

--- A patch that shows every line of its file, with only some lines around each change.
---@param patch string
---@return string
function M.narrow(patch)
  local body, near, head = {}, {}, {}
  for _, line in ipairs(vim.split(patch, "\n", { plain = true })) do
    if #body == 0 and not vim.startswith(line, "@@ ") then
      head[#head + 1] = line
    else
      body[#body + 1] = line
    end
  end
  for index, line in ipairs(body) do
    if line:match("^[+-]") then
      for around = index - AROUND, index + AROUND do
        near[around] = true
      end
    end
  end
  local old, new = 0, 0
  for index, line in ipairs(body) do
    local first_old, first_new = line:match("^@@ %-(%d+)[%d,]* %+(%d+)")
    if first_old then
      old, new = tonumber(first_old), tonumber(first_new)
    else
      if near[index] and (index == 2 or not near[index - 1] or body[index - 1]:match("^@@ ")) then
        head[#head + 1] = ("@@ -%d +%d @@"):format(old, new)
      end
      if near[index] then
        head[#head + 1] = line
      end
      old = old + (line:match("^[ -]") and 1 or 0)
      new = new + (line:match("^[ +]") and 1 or 0)
    end
  end
  return table.concat(head, "\n")
end

--- What differs from the last commit, as text for the model; nil where nothing does.
---@param done fun(part?: table)
function M.changes(done)
  local directory = client.directory()
  client.request("file.status", { directory = directory }, function(files)
    if #files == 0 then
      return done(nil)
    end
    local lines, bytes = { "Changes since the last commit:" }, 0
    local function one(index)
      local file = files[index]
      if not file then
        return done({ type = "text", synthetic = true, text = table.concat(lines, "\n") })
      end
      local path = directory .. "/" .. file.path
      lines[#lines + 1] = ("%s: %s, +%d -%d"):format(file.path, file.status, file.added or 0, file.removed or 0)
      if file.status == "deleted" or bytes > MAX_CHANGES then
        return one(index + 1)
      end
      client.request("file.read", { directory = directory, path = path }, function(read)
        local patch = read.type == "patch" and M.narrow(read.content) or nil
        bytes = bytes + #(patch or "")
        if patch and bytes <= MAX_CHANGES then
          lines[#lines + 1] = patch
        end
        one(index + 1)
      end, function()
        one(index + 1)
      end)
    end
    one(1)
  end)
end

--- The parts of a prompt: its text, and a file for each `@path` in it that exists. `@path:3-9` names lines.
---@param text string
---@return table[]
function M.parse(text)
  local parts = { { type = "text", text = text } }
  local seen = {}
  for before, word in (" " .. text):gmatch("([%s(\"'`])@([^%s\"'`]+)") do
    local name = word:gsub("[%.,;:!?%)]+$", "")
    local path, first, last = name:match("^(.-):(%d+)%-(%d+)$")
    if not path then
      path, first = name:match("^(.-):(%d+)$")
    end
    path = path or name
    local absolute = vim.startswith(path, "/") and path or client.directory() .. "/" .. path
    absolute = vim.fs.normalize(absolute)
    local exists = (vim.uv or vim.loop).fs_stat(absolute)
    if before and exists and path ~= "" and not seen[name] then
      seen[name] = true
      parts[#parts + 1] = M.file(absolute, tonumber(first), tonumber(last or first))
    end
  end
  return parts
end

return M

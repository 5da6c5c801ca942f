--- What has changed: a file beside its last commit, in Neovim's own diff mode, and the list of changed files.
local client = require("polytree.daemon.client")
local config = require("polytree.config")
local context = require("polytree.prompt.context")
local log = require("polytree.log")

local M = {}

local api = vim.api

--- The old side of a patch that shows every line of the file.
---@param patch string
---@return string[]
function M.before(patch)
  local lines = {}
  local is_body = false
  for _, line in ipairs(vim.split(patch, "\n", { plain = true })) do
    local mark = line:sub(1, 1)
    if line:sub(1, 3) == "@@ " then
      is_body = true
    elseif is_body and (mark == " " or mark == "-") then
      lines[#lines + 1] = (line:sub(2):gsub("\r$", ""))
    end
  end
  return lines
end

--- Shows a file in a tab page of its own, beside a text that it was.
---@param path string absolute
---@param before string[]
---@param name string of that text
---@return integer win, integer old the window of the file, and the buffer of the other text
local function beside(path, before, name)
  vim.cmd.tabnew(vim.fn.fnameescape(path))
  local win, filetype = api.nvim_get_current_win(), vim.bo.filetype
  vim.cmd("leftabove vertical new")
  local buf = api.nvim_get_current_buf()
  api.nvim_buf_set_lines(buf, 0, -1, false, before)
  api.nvim_buf_set_name(buf, ("polytree://%s/%d/%s"):format(name, buf, context.relative(path)))
  vim.bo[buf].buftype = "nofile"
  vim.bo[buf].bufhidden = "wipe"
  vim.bo[buf].swapfile = false
  vim.bo[buf].modifiable = false
  vim.bo[buf].filetype = filetype
  vim.cmd.diffthis()
  api.nvim_set_current_win(win)
  vim.cmd.diffthis()
  return win, buf
end

---@param path? string
---@return string? absolute
local function file_of(path)
  local absolute = path and vim.fs.normalize(vim.fn.fnamemodify(path, ":p")) or context.path_of(0)
  if not absolute then
    log.notify("this buffer is no file: name one behind the command", vim.log.levels.ERROR)
  end
  return absolute
end

--- Shows a file beside what it was in the last commit.
---@param path? string default: the current buffer's
function M.open(path)
  local absolute = file_of(path)
  if not absolute then
    return
  end
  client.request("file.read", { directory = client.directory(), path = absolute }, function(read)
    if read.type ~= "patch" then
      return log.notify(context.relative(absolute) .. " is as in the last commit")
    end
    beside(absolute, M.before(read.content), "HEAD")
  end)
end

--- The lines of a text, as a buffer has them.
---@param text string
---@return string[]
local function lines_of(text)
  local lines = vim.split((text:gsub("\r\n", "\n")), "\n", { plain = true })
  if #lines > 1 and lines[#lines] == "" then
    table.remove(lines)
  end
  return lines
end

--- Keys that keep and undo hunks, for as long as a review of the file is shown.
---@param file integer
---@param old integer
local function map_review(file, old)
  local mapped = {}
  for _, verb in ipairs({ "keep", "undo" }) do
    local key = config.values.keys[verb]
    if key then
      mapped[#mapped + 1] = key
      vim.keymap.set(
        { "n", "x" },
        key,
        ("<Plug>(polytree-%s)"):format(verb),
        { buffer = file, desc = "polytree: " .. verb, remap = true }
      )
    end
  end
  api.nvim_create_autocmd("BufWipeout", {
    buffer = old,
    once = true,
    callback = function()
      for _, key in ipairs(api.nvim_buf_is_valid(file) and mapped or {}) do
        pcall(vim.keymap.del, { "n", "x" }, key, { buffer = file })
      end
    end,
  })
end

--- Shows a file beside what it was before the session changed it.
---@param session_id string
---@param path? string default: the current buffer's
function M.review(session_id, path)
  local absolute = file_of(path)
  if not absolute then
    return
  end
  client.request("session.diff", { sessionID = session_id }, function(diffs)
    local diff = vim.iter(diffs):find(function(one)
      return one.path == absolute
    end)
    if not diff then
      return log.notify(("the session has not changed %s"):format(context.relative(absolute)))
    elseif not diff.before and not diff.after then
      return log.notify(("%s is not text, or too large"):format(context.relative(absolute)))
    end
    local _, old = beside(absolute, lines_of(diff.before or ""), "before")
    map_review(api.nvim_get_current_buf(), old)
    require("polytree.review").follow(session_id)
  end)
end

--- Puts the changed files into the quickfix list.
function M.changes()
  client.request("file.status", { directory = client.directory() }, function(files)
    if #files == 0 then
      return log.notify("nothing differs from the last commit")
    end
    local items = {}
    for index, file in ipairs(files) do
      items[index] = {
        filename = client.directory() .. "/" .. file.path,
        lnum = 1,
        text = ("%s +%d -%d"):format(file.status, file.added or 0, file.removed or 0),
      }
    end
    vim.fn.setqflist({}, " ", { title = "polytree: changes", items = items })
    vim.cmd("botright copen")
  end)
end

return M

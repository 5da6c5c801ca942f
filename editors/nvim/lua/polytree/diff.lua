--- What has changed: a file beside its last commit, in Neovim's own diff mode, and the list of changed files.
local client = require("polytree.client")
local context = require("polytree.context")
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

--- Shows a file beside what it was in the last commit.
---@param path? string default: the current buffer's
function M.open(path)
  local absolute = path and vim.fs.normalize(vim.fn.fnamemodify(path, ":p")) or context.path_of(0)
  if not absolute then
    return log.notify("this buffer is no file: name one behind the command", vim.log.levels.ERROR)
  end
  client.request("file.read", { directory = client.directory(), path = absolute }, function(read)
    if read.type ~= "patch" then
      return log.notify(context.relative(absolute) .. " is as in the last commit")
    end
    vim.cmd.tabnew(vim.fn.fnameescape(absolute))
    local win, filetype = api.nvim_get_current_win(), vim.bo.filetype
    vim.cmd("leftabove vertical new")
    local buf = api.nvim_get_current_buf()
    api.nvim_buf_set_lines(buf, 0, -1, false, M.before(read.content))
    api.nvim_buf_set_name(buf, ("polytree://HEAD/%d/%s"):format(buf, context.relative(absolute)))
    vim.bo[buf].buftype = "nofile"
    vim.bo[buf].bufhidden = "wipe"
    vim.bo[buf].swapfile = false
    vim.bo[buf].modifiable = false
    vim.bo[buf].filetype = filetype
    vim.cmd.diffthis()
    api.nvim_set_current_win(win)
    vim.cmd.diffthis()
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

--- More than the conversation shows: a tool call whole, the task list, the session as a file.
local client = require("polytree.daemon.client")
local log = require("polytree.log")

local M = {}

local api = vim.api

--- Opens the call under the cursor of a conversation in a split.
function M.open()
  local view = require("polytree.conversation.view").of_buffer(api.nvim_get_current_buf())
  local part = view and require("polytree.conversation.view").part_at(view, api.nvim_win_get_cursor(0)[1])
  if not part or part.type ~= "tool" then
    return log.notify("put the cursor on a tool call of a conversation first", vim.log.levels.WARN)
  end
  local call = part.state
  local lines = { "# " .. part.tool, "" }
  local function add(title, text)
    if type(text) == "string" and text ~= "" then
      vim.list_extend(lines, { "## " .. title, "" })
      vim.list_extend(lines, vim.split(text, "\n", { plain = true }))
      lines[#lines + 1] = ""
    end
  end
  if type(call.input) == "table" then
    local names = vim.tbl_keys(call.input)
    table.sort(names)
    for _, name in ipairs(names) do
      local value = call.input[name]
      add(name, type(value) == "string" and value or vim.json.encode(value))
    end
  end
  local metadata = type(call.metadata) == "table" and call.metadata or {}
  add("diff", metadata.diff)
  add("output", call.output)
  add("error", call.error)
  vim.cmd("botright new")
  local buf = api.nvim_get_current_buf()
  api.nvim_buf_set_lines(
    buf,
    0,
    -1,
    false,
    vim.tbl_map(function(line)
      return (line:gsub("[%z\n]", "␀"))
    end, lines)
  )
  vim.bo[buf].buftype = "nofile"
  vim.bo[buf].bufhidden = "wipe"
  vim.bo[buf].swapfile = false
  vim.bo[buf].modifiable = false
  vim.bo[buf].filetype = "markdown"
  vim.keymap.set("n", "q", "<Cmd>close<CR>", { buffer = buf, desc = "close" })
end

local BOXES = { pending = "[ ]", in_progress = "[>]", completed = "[x]", cancelled = "[-]" }

--- Shows the task list of a session.
---@param session_id string
function M.todo(session_id)
  client.request("session.todo", { sessionID = session_id }, function(todos)
    if #todos == 0 then
      return log.notify("the session has no task list")
    end
    local lines = vim.tbl_map(function(todo)
      return ("%s %s"):format(BOXES[todo.status] or "[ ]", (todo.content:gsub("%s+", " ")))
    end, todos)
    require("polytree.list").open({ title = "Tasks", lines = lines })
  end)
end

--- Writes a session to a file that only its owner reads.
---@param session_id string
---@param path string
---@param over boolean write over a file that is there
function M.export(session_id, path, over)
  if path == "" then
    return log.notify("write the name of the file behind the command", vim.log.levels.ERROR)
  end
  path = vim.fs.normalize(vim.fn.fnamemodify(path, ":p"))
  client.request("session.export", { sessionID = session_id }, function(whole)
    local uv = vim.uv or vim.loop
    local file, why = uv.fs_open(path, over and "w" or "wx", 384)
    if not file then
      local hint = why and why:find("EEXIST", 1, true) and "; :Polytree! export writes over it" or ""
      return log.notify(tostring(why) .. hint, vim.log.levels.ERROR)
    end
    uv.fs_write(file, vim.json.encode(whole) .. "\n")
    uv.fs_close(file)
    log.notify("written to " .. vim.fn.fnamemodify(path, ":~:."))
  end)
end

return M

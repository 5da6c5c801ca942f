--- A tool call whole: its arguments, and everything that it answered.
local log = require("polytree.log")

local M = {}

local api = vim.api

--- Opens the call under the cursor of a conversation in a split.
function M.open()
  local view = require("polytree.view").of_buffer(api.nvim_get_current_buf())
  local part = view and require("polytree.view").part_at(view, api.nvim_win_get_cursor(0)[1])
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

return M

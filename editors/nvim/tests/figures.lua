--- Measures the plugin in a place that benches/editors.mjs has made: nvim --headless -l figures.lua SESSION
--- Prints one line of JSON.
local here = vim.fs.dirname(vim.fs.normalize(vim.uv.fs_realpath(arg[0])))
vim.opt.runtimepath:prepend(vim.fs.dirname(here))
local started = vim.uv.hrtime()
vim.cmd.runtime("plugin/polytree.lua")
local sourced = vim.uv.hrtime() - started
vim.o.columns, vim.o.lines = 160, 50

local function ms(nanoseconds)
  return math.floor(nanoseconds / 1e4) / 100
end

local function text()
  local view = require("polytree.conversation.view")
  local win = view.window()
  return win and table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(win), 0, -1, false), "\n") or ""
end

local function wait(pattern)
  assert(
    vim.wait(60000, function()
      return text():find(pattern, 1, true)
    end, 1),
    "waited in vain for " .. pattern
  )
end

require("polytree").setup({ command = { os.getenv("POLYTREE_EXECUTABLE"), "stdio" } })
local connected = false
require("polytree.daemon.workspace").open(function()
  connected = true
end)
vim.wait(20000, function()
  return connected
end, 1)
local view = require("polytree.conversation.view")
started = vim.uv.hrtime()
view.show(arg[1])
wait("answer 499")
vim.cmd.redraw()
local shown = vim.uv.hrtime() - started

-- Three times: other programs on the machine disturb a longest run, so the least disturbed one counts.
local current = view.of_buffer(vim.api.nvim_win_get_buf(view.window()))
local messages, drawing = math.huge, math.huge
for round = 1, 3 do
  require("polytree.daemon.rpc").slowest, current.slowest = 0, 0
  vim.cmd("Polytree prompt stream")
  assert(vim.wait(60000, function()
    return select(2, text():gsub("word1999", "")) == round
  end, 20))
  messages, drawing = math.min(messages, require("polytree.daemon.rpc").slowest), math.min(drawing, current.slowest)
end
io.stdout:write(vim.json.encode({
  sourced = ms(sourced),
  shown = ms(shown),
  messages = messages,
  drawing = drawing,
}) .. "\n")
os.exit(0)

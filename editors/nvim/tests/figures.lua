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
  local view = require("polytree.view")
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
require("polytree.workspace").open(function()
  connected = true
end)
vim.wait(20000, function()
  return connected
end, 1)
local view = require("polytree.view")
started = vim.uv.hrtime()
view.show(arg[1])
wait("answer 499")
vim.cmd.redraw()
local shown = vim.uv.hrtime() - started

require("polytree.rpc").slowest = 0
local current = view.of_buffer(vim.api.nvim_win_get_buf(view.window()))
current.slowest = 0
vim.cmd("Polytree prompt stream")
wait("word1999")
io.stdout:write(vim.json.encode({
  sourced = ms(sourced),
  shown = ms(shown),
  messages = require("polytree.rpc").slowest,
  drawing = current.slowest,
}) .. "\n")
os.exit(0)

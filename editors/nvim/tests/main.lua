--- nvim --clean --headless -l tests/main.lua [FILE...]; POLYTREE_EXECUTABLE is tested, POLYTREE_TEST picks tests by name.
local here = vim.fs.dirname(vim.fs.normalize(vim.uv.fs_realpath(arg[0])))
vim.opt.runtimepath:prepend(vim.fs.dirname(here))
vim.cmd.runtime("plugin/polytree.lua")
for _, name in ipairs({ "harness", "model_server" }) do
  package.preload["polytree_test." .. name] = function()
    return dofile(here .. "/" .. name .. ".lua")
  end
end
local harness = require("polytree_test.harness")
local files = #arg > 0 and arg
  or {
    "pure",
    "annotations",
    "pack",
    "replay",
    "permissions",
    "connection",
    "conversation",
    "control",
    "review",
    "choices",
    "editor",
    "highlight",
  }
for _, name in ipairs(files) do
  dofile(here .. "/" .. name .. ".lua")
end
print(("Neovim %s: %d passed, %d failed"):format(tostring(vim.version()), harness.passed, harness.failed))
os.exit(harness.failed == 0 and 0 or 1)

--- Installation by Neovim's own plugin manager, from a clone of the repository, as the help says.
local harness = require("polytree_test.harness")

local test, equal, contains = harness.test, harness.equal, harness.contains
local plugin = vim.fs.dirname(vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, "S").source:sub(2))))

--- The lines of the help's example that begins with a comment, up to the next empty line.
---@param title string
---@return string
local function example(title)
  local help = harness.read(plugin .. "/doc/polytree.txt")
  local found = help:match(("    %%-%%- %s\n(.-)\n\n"):format(vim.pesc(title)))
  return (assert(found, "no example for " .. title):gsub("\n    ", "\n"):gsub("^    ", ""))
end

if not vim.pack then
  return
end

test("vim.pack installs the plugin from a local clone", function()
  local place = harness.place()
  local source = place.root .. "/src/polytree"
  vim.fn.mkdir(source .. "/editors", "p")
  local copied = vim.system({ "cp", "-r", plugin, source .. "/editors/nvim" }):wait()
  equal(copied.code, 0, copied.stderr)
  for _, words in ipairs({ { "init", "-q", "-b", "main" }, { "add", "." }, { "commit", "-q", "-m", "first" } }) do
    local done = vim
      .system({ "git", "-c", "user.name=Test", "-c", "user.email=test@example.com", unpack(words) }, { cwd = source })
      :wait()
    equal(done.code, 0, done.stderr)
  end
  local init = example("vim.pack (Neovim 0.12)"):gsub("file:///home/you/src/polytree", "file://" .. source)
  -- Nobody is there to be asked whether it may be installed.
  init = init:gsub("}, {\n", "}, {\n  confirm = false,\n", 1)
  harness.write(place.root .. "/init.lua", init)
  local env = { XDG_CONFIG_HOME = place.root .. "/c", XDG_DATA_HOME = place.root .. "/d" }
  env.XDG_STATE_HOME, env.XDG_CACHE_HOME, env.HOME = place.root .. "/s", place.root .. "/ca", place.root .. "/home"
  local check = [[lua print(vim.fn.exists(":Polytree"), require("polytree").statusline() == "", ]]
    .. [[debug.getinfo(require("polytree").setup, "S").source)]]
  local ran = vim
    .system({ vim.v.progpath, "--headless", "-u", place.root .. "/init.lua", "-c", check, "+qa" }, { env = env, text = true })
    :wait(60000)
  contains(
    ran.stderr,
    "2 true @" .. place.root .. "/d/nvim/site/pack/core/opt/polytree/editors/nvim/lua/polytree/init.lua"
  )
  vim.fn.delete(place.root, "rf")
end)

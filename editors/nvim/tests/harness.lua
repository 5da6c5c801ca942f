--- Runs tests in this Neovim and counts them. Each test has directories, a daemon and a model server of its own.
local uv = vim.uv

local M = { passed = 0, failed = 0 }

local executable = assert(os.getenv("POLYTREE_EXECUTABLE"), "POLYTREE_EXECUTABLE is not set")

---@param path string
---@param text string
function M.write(path, text)
  vim.fn.mkdir(vim.fs.dirname(path), "p")
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

---@param path string
---@return string
function M.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- Waits until `check` returns something true, and returns that; fails with `what` otherwise.
---@param what string
---@param check fun(): any
---@param timeout? integer milliseconds
---@return any
function M.wait(what, check, timeout)
  local result
  local done = vim.wait(timeout or 20000, function()
    result = check()
    return result and true or false
  end, 10)
  if not done then
    local buffers = {}
    for _, buf in ipairs(vim.api.nvim_list_bufs()) do
      if vim.api.nvim_buf_get_name(buf):match("^polytree://ses") then
        buffers[#buffers + 1] = table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), "\n")
      end
    end
    local log = io.open(require("polytree.log").path(), "rb")
    local workspace = package.loaded["polytree.daemon.workspace"]
    error(
      ("waited in vain for %s\nnotified: %s\nstatuses: %s\nconversation:\n%s\nlog:\n%s"):format(
        what,
        vim.inspect(M.notified),
        vim.inspect(workspace and workspace.statuses),
        table.concat(buffers, "\n---\n"),
        log and log:read("*a"):sub(-2000) or "none"
      ),
      2
    )
  end
  return result
end

function M.equal(actual, expected, what)
  if not vim.deep_equal(actual, expected) then
    error(("%s\nexpected: %s\nactual:   %s"):format(what or "not equal", vim.inspect(expected), vim.inspect(actual)), 2)
  end
end

---@param text string
---@param part string
function M.contains(text, part)
  if not text:find(part, 1, true) then
    error(("does not contain %s:\n%s"):format(vim.inspect(part), text), 2)
  end
end

---@class polytree.Place
---@field root string
---@field project string
---@field env table<string, string>

--- Directories of their own, a repository with one commit, and settings that name the model server.
---@param port? integer of the model server
---@return polytree.Place
function M.place(port)
  local root = assert(uv.fs_realpath(assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/polytree-nvim-XXXXXX"))))
  local project = root .. "/project"
  M.write(project .. "/src/main.txt", "one\ntwo\nthree\n")
  M.write(project .. "/notes.txt", "alpha\nbeta\n")
  local env = {
    POLYTREE_DATA_DIR = root .. "/data",
    POLYTREE_CONFIG_DIR = root .. "/config",
    POLYTREE_RUNTIME_DIR = root .. "/run",
    HOME = root .. "/home",
  }
  vim.fn.mkdir(env.HOME, "p")
  if port then
    M.write(
      root .. "/config/polytree.json",
      vim.json.encode({
        model = "local/small",
        small_model = "local/small",
        provider = {
          ["local"] = {
            api = "openai",
            options = { baseURL = ("http://127.0.0.1:%d/v1"):format(port), apiKey = "test" },
            models = { small = { limit = { context = 100000, output = 8000 } } },
          },
        },
      })
    )
  end
  local function git(...)
    local result = vim
      .system({ "git", "-c", "user.name=Test", "-c", "user.email=test@example.com", ... }, { cwd = project })
      :wait()
    assert(result.code == 0, result.stderr)
  end
  git("init", "-q", "-b", "main")
  git("add", ".")
  git("commit", "-q", "-m", "first")
  return { root = root, project = project, env = env }
end

local open_places = {}

--- Points this Neovim at a place: environment, working directory, settings.
---@param place polytree.Place
---@param options? table settings
function M.enter(place, options)
  for name, value in pairs(place.env) do
    vim.env[name] = value
  end
  vim.cmd.cd(place.project)
  options = vim.tbl_extend("force", { command = { executable, "stdio" } }, options or {})
  require("polytree").setup(options)
  open_places[#open_places + 1] = place
end

--- Loads the plugin anew, as a new Neovim would have it.
function M.reset()
  local client = package.loaded["polytree.daemon.client"]
  if client then
    client.stop()
    vim.wait(3000, function()
      return client.client.rpc == nil
    end, 10)
  end
  vim.cmd.stopinsert()
  for _, win in ipairs(vim.api.nvim_list_wins()) do
    if vim.api.nvim_win_is_valid(win) and vim.api.nvim_win_get_config(win).relative ~= "" then
      vim.api.nvim_win_close(win, true)
    end
  end
  vim.cmd("silent! tabonly | silent! only")
  for _, buf in ipairs(vim.api.nvim_list_bufs()) do
    pcall(vim.api.nvim_buf_delete, buf, { force = true })
  end
  for _, group in ipairs({ "polytree.buffers" }) do
    pcall(vim.api.nvim_del_augroup_by_name, group)
  end
  for name in pairs(package.loaded) do
    if vim.startswith(name, "polytree") and not vim.startswith(name, "polytree_test") then
      package.loaded[name] = nil
    end
  end
  for _, place in ipairs(open_places) do
    vim.system({ executable, "stop", "--now" }, { env = place.env, cwd = "/" }):wait(10000)
    vim.cmd.cd("/")
    vim.fn.delete(place.root, "rf")
  end
  open_places = {}
  M.notified = {}
end

--- The text of the conversation that is shown.
---@return string
function M.conversation()
  local win = require("polytree.conversation.view").window()
  if not win then
    return ""
  end
  return table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(win), 0, -1, false), "\n")
end

local only = os.getenv("POLYTREE_TEST")

---@param name string
---@param run fun()
function M.test(name, run)
  if only and not name:find(only, 1, true) then
    return
  end
  M.notified = {}
  vim.notify = function(message, level)
    M.notified[#M.notified + 1] = { message, level }
  end
  vim.ui.select = function()
    error("unexpected vim.ui.select")
  end
  local started = uv.hrtime()
  local ok, why = xpcall(run, debug.traceback)
  local fine, trouble = pcall(M.reset)
  if ok and fine then
    M.passed = M.passed + 1
    io.stdout:write(("ok      %s (%d ms)\n"):format(name, (uv.hrtime() - started) / 1e6))
  else
    M.failed = M.failed + 1
    io.stdout:write(("FAILED  %s\n%s\n"):format(name, ok and trouble or why))
  end
  io.stdout:flush()
end

return M

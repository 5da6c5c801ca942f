--- What Neovim tells the daemon, and does for it, as an editor; other directories.
local harness = require("polytree_test.harness")
local model = require("polytree_test.model_server")

local test, wait, equal, contains = harness.test, harness.wait, harness.equal, harness.contains

test("what language servers say of the text after an edit is told to the model", function()
  local server = model.start()
  local place = harness.place(server.port)
  harness.enter(place)
  server:script(
    model.call("read", { filePath = "src/main.txt" }),
    model.call("edit", { filePath = "src/main.txt", oldString = "two", newString = "2" }),
    model.say("edited")
  )
  vim.cmd.edit("src/main.txt")
  local buf = vim.api.nvim_get_current_buf()
  local namespace = vim.api.nvim_create_namespace("a language server")
  -- A language server that finds digits wrong, as soon as it has seen the text.
  local function check()
    local found = {}
    for row, line in ipairs(vim.api.nvim_buf_get_lines(buf, 0, -1, false)) do
      local column = line:find("%d")
      if column then
        found[#found + 1] = {
          lnum = row - 1,
          col = column - 1,
          end_col = column,
          message = "a digit is no word",
          severity = vim.diagnostic.severity.ERROR,
          source = "words",
        }
      end
    end
    vim.diagnostic.set(namespace, buf, found)
  end
  vim.api.nvim_buf_attach(buf, false, {
    on_lines = function()
      vim.schedule(check)
    end,
  })
  vim.cmd("Polytree mode edits")
  require("polytree").start(function() end)
  wait("the announcement", function()
    return next(require("polytree.editor.buffers").announced)
  end)
  -- Of a file of which nothing was told nobody waits for a report.
  local client = require("polytree.daemon.client")
  local send, is_told = client.send_now, false
  client.send_now = function(method, ...)
    is_told = is_told or method == "diagnostics.set"
    return send(method, ...)
  end
  check()
  wait("the first report", function()
    return is_told
  end)
  vim.cmd("Polytree prompt change it")
  wait("the answer", function()
    return harness.conversation():find("edited\n", 1, true)
  end)
  local messages = server:turns()[3].messages
  contains(messages[#messages].content, "a digit is no word")
  server:stop()
end)

test("a file is shown when another client asks for it", function()
  harness.enter(harness.place(model.start().port))
  vim.cmd("Polytree open")
  wait("the prompt", function()
    return vim.bo.filetype == "polytree_prompt"
  end)
  vim.cmd("stopinsert | close")
  local shown
  require("polytree.daemon.client").request("editor.open", {
    path = "notes.txt",
    range = { start = { line = 1, character = 2 }, ["end"] = { line = 1, character = 3 } },
  }, function(result)
    shown = result
  end)
  wait("the file", function()
    return vim.fn.expand("%:t") == "notes.txt"
  end)
  equal(vim.api.nvim_win_get_cursor(0), { 2, 2 })
  wait("the answer", function()
    return shown
  end)
end)

test("another checkout is chosen, with its sessions", function()
  local server = model.start()
  local place = harness.place(server.port)
  local other = place.root .. "/other"
  local added = vim.system({ "git", "worktree", "add", "-q", "-b", "feature", other }, { cwd = place.project }):wait()
  equal(added.code, 0, added.stderr)
  harness.enter(place)
  server:script(model.say("here"), model.say("there"))
  vim.cmd("Polytree prompt where?")
  wait("the answer", function()
    return harness.conversation():find("here", 1, true)
  end)
  local offered
  vim.ui.select = function(items, options, done)
    offered = vim.tbl_map(options.format_item, items)
    done(items[2])
  end
  vim.cmd("Polytree worktree")
  wait("the move", function()
    return vim.inspect(harness.notified):find("polytree: in ", 1, true)
  end)
  equal(vim.fn.getcwd(), other)
  contains(offered[1], "main")
  contains(offered[2], "feature")
  vim.cmd("Polytree new where now?")
  wait("the other answer", function()
    return harness.conversation():find("there", 1, true)
  end)
  local workspace = require("polytree.daemon.workspace")
  equal(workspace.sessions[workspace.current].directory, other)
  vim.ui.select = function(items, options)
    offered = vim.tbl_map(options.format_item, items)
  end
  offered = nil
  vim.cmd("Polytree sessions")
  wait("the list", function()
    return offered
  end)
  equal(#offered, 2, "the sessions of both checkouts")
  vim.cmd.cd("/")
  server:stop()
end)

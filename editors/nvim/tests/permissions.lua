--- What a question says, what a session does without one, and the sandbox.
local harness = require("polytree_test.harness")
local model = require("polytree_test.model_server")

local test, wait, equal, contains = harness.test, harness.wait, harness.equal, harness.contains

---@param fields table
---@return string
local function question(fields)
  local whole = vim.tbl_extend("force", {
    type = "bash",
    sessionID = "ses_1",
    patterns = {},
    always = {},
    title = "Look around",
  }, fields)
  return table.concat(require("polytree.question.text").lines(whole), "\n")
end

test("a question shows every line, and what cannot be seen as what it is", function()
  local text = question({
    metadata = { command = "echo \27[8mhidden\nsecond \226\128\174txt.exe\194\173", directories = { "/etc" } },
  })
  contains(text, "echo \\u{1b}[8mhidden\nsecond \\u{202e}txt.exe\\u{ad}")
  contains(text, "outside of the worktree: /etc")
  contains(question({ type = "edit", metadata = { diff = "+a\226\128\139b ä 漢" } }), "+a\\u{200b}b ä 漢")
end)

test("spaces do not push the rest of a command out of sight", function()
  contains(
    question({ metadata = { command = "echo x" .. (" "):rep(1900) .. "; touch y" } }),
    "echo x<1900 spaces>; touch y"
  )
end)

test("a question about a command names all that it is about", function()
  equal(
    question({
      metadata = {
        command = "$X list",
        description = "List things",
        workdir = "/work/here",
        understood = false,
        denies = { "rm *", "git push *" },
        sandbox = { policy = "off" },
      },
    }),
    table.concat({
      "bash: may it do this?",
      "working directory: /work/here (it runs as you, in no sandbox)",
      "",
      "$X list",
      "",
      "It cannot be told what this line runs.",
      "rules deny: rm *, git push *",
      "the model says: List things",
    }, "\n")
  )
  contains(question({ type = "read", patterns = { ".env" }, metadata = { command = "cat .env" } }), "it reads .env")
  contains(
    question({
      type = "sandbox",
      metadata = { command = "make", sandbox = { policy = "read-only" }, reason = "it needs the network" },
    }),
    "It would leave the sandbox read-only\nbecause: it needs the network"
  )
end)

--- The title of a command that has ended.
---@param exit integer
---@param output string
---@param sandbox? table
---@return string[]
local function ended(exit, output, sandbox)
  return require("polytree.conversation.render").part({
    type = "tool",
    tool = "bash",
    subject = "make",
    state = {
      status = "completed",
      input = { command = "make" },
      title = "Make",
      output = output,
      metadata = { exit = exit, output = "make: no\n", sandbox = sandbox },
    },
  }, "assistant")
end

test("a command that failed at the sandbox's wall is shown as such", function()
  local note = "[The command ran in the sandbox `read-only`, which may be why it failed: it has no network.]"
  local lines = ended(1, "make: no\n[exit code 1]\n" .. note .. "\n", { policy = "read-only" })
  equal(lines[1], "✗ **bash** `make` (exit code 1, the sandbox read-only may be why)")
  equal(lines[3], "  │ " .. note)
  equal(
    ended(2, "make: no\n[exit code 2]\n", { policy = "workspace" })[1],
    "✗ **bash** `make` (exit code 2, in the sandbox workspace)"
  )
  equal(ended(2, "make: no\n[exit code 2]\n", { policy = "off" })[1], "✗ **bash** `make` (exit code 2)")
  equal(ended(0, "make: no\n", { policy = "workspace" })[1], "✓ **bash** `make`")
end)

test("what the sandbox has found is shown from what it tells clients", function()
  local lines = ended(1, "make: no\n[exit code 1]\n", {
    policy = "workspace",
    refused = { "make: Permission denied" },
    restored = { "/work/.git/config" },
    repositories = { "/work/new" },
  })
  equal(lines[1], "✗ **bash** `make` (exit code 1, the sandbox workspace may be why)")
  equal(lines[2], "  - `/work/.git/config` was put back as it was")
  equal(lines[3], "  - `/work/new` is a new git repository")
end)

test("a command is refused by the sandbox, and asks to leave it", function()
  local server = model.start()
  local place = harness.place(server.port)
  -- What an interpreter does cannot be read from the line: the rules allow it, the kernel does not.
  local command = ([[perl -e 'open(F, ">", "%s/made") or die "$!\n"']]):format(place.root)
  server:script(
    model.call("bash", { command = command, description = "Write" }),
    model.call("bash", { command = command, description = "Write", outside = "it is needed" }),
    model.say("It could not.")
  )
  harness.enter(place)
  vim.cmd("Polytree mode edits")
  vim.cmd("Polytree prompt write it")
  local asked = wait("the question", function()
    return require("polytree.question").current()
  end)
  equal(asked.type, "sandbox")
  local text = table.concat(require("polytree.question.text").lines(asked), "\n")
  contains(text, "It would leave the sandbox workspace\nbecause: it is needed")
  wait("the refusal", function()
    return harness.conversation():find("the sandbox workspace may be why)", 1, true)
  end)
  equal(vim.uv.fs_stat(place.root .. "/made"), nil)
  vim.cmd("Polytree reject leave it")
  wait("the answer", function()
    return harness.conversation():find("It could not.", 1, true)
  end)
  server:stop()
end)

test("a status line that fails does not stop what is drawn", function()
  local server = model.start()
  server:script(model.say("It is there."))
  harness.enter(harness.place(server.port))
  vim.o.statusline = "%{%v:lua.no_such_function()%}"
  vim.cmd("Polytree prompt say it")
  wait("the answer", function()
    return harness.conversation():find("It is there.", 1, true)
  end)
  wait("the title", function()
    return harness.conversation():find("# A title", 1, true)
  end)
  vim.o.statusline = ""
  server:stop()
end)

test("a mode is chosen for a session, shown, and changed while it goes on", function()
  local server = model.start()
  local edit = function(old, new)
    return model.call("edit", { filePath = "src/main.txt", oldString = old, newString = new })
  end
  server:script(model.call("read", { filePath = "src/main.txt" }), edit("two", "2"), model.say("without a question"))
  local place = harness.place(server.port)
  harness.enter(place)
  vim.cmd("Polytree mode careless")
  contains(harness.notified[1][1], 'there is no mode "careless": write ask, edits or all')
  vim.cmd("Polytree mode edits")
  wait("the choice", function()
    return vim.inspect(harness.notified):find("mode of the next session: edits", 1, true)
  end)
  vim.cmd("Polytree prompt change it")
  wait("the answer", function()
    return harness.conversation():find("without a question", 1, true)
  end)
  equal(harness.read(place.project .. "/src/main.txt"), "one\n2\nthree\n")
  wait("the mode in the status line", function()
    return require("polytree").statusline():find("mode edits", 1, true)
  end)
  vim.api.nvim_win_call(assert(require("polytree.conversation.view").window()), function()
    contains(require("polytree").view_statusline(), "mode edits")
  end)

  local offered
  vim.ui.select = function(items, options, done)
    offered = options.prompt
    done(items[1])
  end
  vim.cmd("Polytree mode")
  wait("the mode", function()
    return require("polytree").statusline():find("mode", 1, true) == nil
  end)
  equal(offered, "Mode (now edits)")
  server:script(edit("2", "two"), model.say("after a question"))
  vim.cmd("Polytree prompt change it back")
  wait("the question", function()
    return require("polytree.question").current()
  end)
  vim.cmd("Polytree allow")
  wait("the second answer", function()
    return harness.conversation():find("after a question", 1, true)
  end)
  server:stop()
end)

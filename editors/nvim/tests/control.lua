--- What a person does with a session beside prompts: the queue, steering, undo, copies.
local harness = require("polytree_test.harness")
local model = require("polytree_test.model_server")

local test, wait, equal, contains = harness.test, harness.wait, harness.equal, harness.contains

local function begin(...)
  local server = model.start()
  server:script(...)
  local place = harness.place(server.port)
  harness.enter(place)
  return server, place
end

---@param text string
local function said(text)
  wait(text, function()
    return harness.conversation():find(text, 1, true)
  end)
end

--- Answers the next `vim.ui.select` with the first item that contains a text.
---@param text string
---@return { items?: string[], prompt?: string, floats?: string } asked what was offered
local function choosing(text)
  local asked = {}
  vim.ui.select = function(items, options, done)
    asked.items = vim.tbl_map(options.format_item or tostring, items)
    asked.prompt = options.prompt
    local floats = {}
    for _, win in ipairs(vim.api.nvim_list_wins()) do
      if vim.api.nvim_win_get_config(win).relative ~= "" then
        vim.list_extend(floats, vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(win), 0, -1, false))
      end
    end
    asked.floats = table.concat(floats, "\n")
    for index, item in ipairs(asked.items) do
      if item:find(text, 1, true) then
        return done(items[index], index)
      end
    end
    error(("%s is not among %s"):format(text, vim.inspect(asked.items)))
  end
  return asked
end

--- A turn that goes on until the answer that is returned is finished.
---@return polytree.ModelServer, fun(): polytree.Reply
local function busy(...)
  local release
  local server = begin(function(reply)
    reply:text("working ")
    release = reply
  end, ...)
  vim.cmd("Polytree prompt begin")
  said("working")
  return server, function()
    release:text("done")
    release:finish()
    return release
  end
end

---@return integer win, string[] lines of the list that is open
local function list()
  local win = vim.api.nvim_get_current_win()
  return win, vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(win), 0, -1, false)
end

---@param keys string
local function press(keys)
  vim.api.nvim_feedkeys(vim.keycode("<C-\\><C-n>" .. keys), "xt", false)
end

test("the queue is seen, edited, moved and emptied while a turn runs", function()
  local server, finish = busy(model.say("answer one"), model.say("answer two"))
  for _, text in ipairs({ "first", "second @notes.txt", "third" }) do
    vim.cmd("Polytree prompt " .. text)
    said(text)
  end
  wait("the queue", function()
    return require("polytree").view_statusline and harness.conversation():find("queued", 1, true)
  end)
  vim.cmd("Polytree queue")
  wait("the list", function()
    return vim.api.nvim_win_get_config(0).relative ~= ""
  end)
  local _, lines = list()
  equal(lines, { "1. first", "2. second @notes.txt", "3. third" })
  -- The third comes first, the first goes.
  press("Gk")
  press("K")
  wait("the move", function()
    _, lines = list()
    return lines[1]:find("second", 1, true)
  end)
  wait("the cursor on the prompt that was moved", function()
    return vim.api.nvim_win_get_cursor(0)[1] == 1
  end)
  press("J")
  wait("the move back", function()
    _, lines = list()
    return lines[2]:find("second", 1, true)
  end)
  press("gg")
  press("dd")
  wait("the removal", function()
    _, lines = list()
    return #lines == 2
  end)
  equal(lines, { "1. second @notes.txt", "2. third" })
  press("gg")
  press("<CR>")
  equal(vim.api.nvim_buf_get_lines(0, 0, -1, false), { "second @notes.txt" })
  vim.api.nvim_buf_set_lines(0, 0, -1, false, { "changed @notes.txt" })
  local edited = vim.api.nvim_get_current_buf()
  vim.cmd.write()
  wait("the replacement", function()
    return not vim.api.nvim_buf_is_valid(edited)
  end)
  finish()
  said("answer two")
  local turns = vim.tbl_map(vim.json.encode, server:turns())
  contains(turns[2], "changed @notes.txt")
  equal(select(2, turns[2]:gsub("1: alpha", "")), 1, "the file is read once")
  contains(turns[3], "third")
  server:stop()
end)

test("a running turn is steered", function()
  local server = begin(model.call("bash", { command = "echo one", description = "One" }), model.say("as you say"))
  vim.cmd("Polytree prompt begin")
  wait("the question", function()
    return require("polytree.question").current()
  end)
  vim.cmd("Polytree steer rather in French")
  said("rather in French")
  vim.cmd("Polytree allow")
  said("as you say")
  local turns = server:turns()
  equal(#turns, 2)
  contains(vim.json.encode(turns[2].messages), "rather in French")
  server:stop()
end)

test("an undo shows what would happen, does it, and is taken back", function()
  local server, place = begin(
    model.call("write", { filePath = "made.txt", content = "made\n" }),
    model.say("made it"),
    model.call("read", { filePath = "src/main.txt" }),
    model.call("edit", { filePath = "src/main.txt", oldString = "two", newString = "2" }),
    model.say("changed it")
  )
  vim.cmd("Polytree mode edits")
  vim.cmd("Polytree prompt make a file")
  said("made it")
  vim.cmd("Polytree prompt change the other")
  said("changed it")
  wait("idle", function()
    return require("polytree").statusline():find("idle", 1, true)
  end)
  equal(harness.read(place.project .. "/src/main.txt"), "one\n2\nthree\n")

  -- The cursor says from where on.
  vim.cmd("Polytree open")
  vim.fn.search("change the other")
  local asked = choosing("Cancel")
  vim.cmd("Polytree revert")
  wait("the preview", function()
    return asked.floats
  end)
  equal(asked.prompt, "Undo from: change the other")
  equal(asked.floats, "- `src/main.txt` restored")
  equal(harness.read(place.project .. "/src/main.txt"), "one\n2\nthree\n")
  contains(harness.conversation(), "changed it")

  asked = choosing("Undo")
  vim.cmd("Polytree revert")
  said("1 prompt and its answer are undone")
  equal(asked.items, { "Undo", "Cancel" })
  local text = harness.conversation()
  equal(text:find("changed it", 1, true), nil)
  contains(text, "made it")
  contains(text, "- `src/main.txt` restored")
  equal(harness.read(place.project .. "/src/main.txt"), "one\ntwo\nthree\n")
  equal(harness.read(place.project .. "/made.txt"), "made\n")

  choosing("Take it back")
  vim.cmd("Polytree unrevert")
  said("changed it")
  equal(harness.conversation():find("undone", 1, true), nil)
  equal(harness.read(place.project .. "/src/main.txt"), "one\n2\nthree\n")

  -- What others have changed too is in conflict: the rest is undone.
  harness.write(place.project .. "/src/main.txt", "one\n22\nthree\n")
  vim.cmd("stopinsert")
  vim.fn.search("make a file", "b")
  asked = choosing("leave 1 file in conflict")
  vim.cmd("Polytree revert")
  said("2 prompts and their answers are undone")
  contains(asked.floats, "in conflict")
  contains(harness.conversation(), "- `made.txt` deleted")
  equal(vim.uv.fs_stat(place.project .. "/made.txt"), nil)
  equal(harness.read(place.project .. "/src/main.txt"), "one\n22\nthree\n")
  -- The next prompt removes it for good.
  server:script(model.say("begun anew"))
  vim.cmd("Polytree prompt again")
  said("begun anew")
  wait("the removal", function()
    return not harness.conversation():find("undone", 1, true)
  end)
  equal(harness.conversation():find("make a file", 1, true), nil)
  server:stop()
end)

test("a session is copied whole and up to a prompt, and written to a file", function()
  local server, place = begin(
    model.call("todowrite", { todos = { { content = "look", status = "in_progress", priority = "high" } } }),
    model.say("answer one"),
    model.say("answer two")
  )
  vim.cmd("Polytree prompt question one")
  said("answer one")
  vim.cmd("Polytree prompt question two")
  said("answer two")
  wait("idle", function()
    return require("polytree").statusline():find("idle", 1, true)
  end)
  local original = require("polytree.daemon.workspace").current
  vim.cmd("Polytree todo")
  wait("the tasks", function()
    return vim.api.nvim_win_get_config(0).relative ~= ""
  end)
  equal(vim.api.nvim_buf_get_lines(0, 0, -1, false), { "[>] look" })
  press("q")

  vim.cmd("Polytree export " .. place.root .. "/session.json")
  wait("the file", function()
    return vim.uv.fs_stat(place.root .. "/session.json")
  end)
  local written
  wait("all of it", function()
    local ok, whole = pcall(vim.json.decode, harness.read(place.root .. "/session.json"))
    written = ok and whole
    return ok
  end)
  equal(written.session.id, original)
  local imported
  require("polytree.daemon.client").request("session.import", { session = written }, function(session)
    imported = session
  end)
  wait("the import", function()
    return imported
  end)

  vim.cmd("Polytree fork")
  wait("the copy", function()
    return require("polytree.daemon.workspace").current ~= original
      and harness.conversation():find("answer two", 1, true)
  end)
  local copy = require("polytree.daemon.workspace").current
  vim.cmd("Polytree open")
  vim.fn.search("question two")
  vim.cmd("Polytree! fork")
  wait("the other copy", function()
    return require("polytree.daemon.workspace").current ~= copy and harness.conversation():find("answer one", 1, true)
  end)
  equal(harness.conversation():find("question two", 1, true), nil)
  server:stop()
end)

test("what differs from the last commit goes along", function()
  local server, place = begin(model.say("seen"))
  harness.write(place.project .. "/src/main.txt", "one\n2\nthree\n")
  harness.write(place.project .. "/new.txt", "new\n")
  vim.cmd("Polytree! changes what is this?")
  said("seen")
  local messages = server:turns()[1].messages
  local text = messages[#messages].content
  contains(text, "src/main.txt: modified, +1 -1\n")
  contains(text, "+++ b/src/main.txt\n@@ -1 +1 @@\n one\n-two\n+2\n three")
  contains(text, "new.txt: added, +1 -0")
  server:stop()
end)

test("agents and models are completed", function()
  harness.enter(harness.place(model.start().port))
  require("polytree.daemon.client").when_ready(function() end)
  wait("the connection", function()
    return require("polytree.daemon.client").client.state == "ready"
  end)
  equal(vim.fn.getcompletion("Polytree agent bu", "cmdline"), { "build" })
  equal(vim.fn.getcompletion("Polytree model local/", "cmdline"), { "local/small" })
  equal(vim.fn.getcompletion("Polytree unre", "cmdline"), { "unrevert" })
end)

test("a conversation is summarised on request; the summary is folded", function()
  local server = begin(model.say("answer one"), model.say("answer two"), model.say("answer three"))
  for _, name in ipairs({ "one", "two" }) do
    vim.cmd("Polytree prompt question " .. name)
    said("answer " .. name)
    wait("the end of the turn", function()
      return next(require("polytree.daemon.workspace").statuses) == nil
    end)
  end
  vim.cmd("Polytree compact")
  said("The conversation up to here is summarised")
  said("A summary.")
  wait("the answer", function()
    return vim.iter(harness.notified):any(function(notified)
      return notified[1]:find("the conversation is summarised", 1, true)
    end)
  end)
  local text = harness.conversation()
  equal(select(2, text:gsub("## You", "")), 2, "what asks for a summary has no heading")
  local win = require("polytree.conversation.view").window()
  vim.api.nvim_win_call(win, function()
    local line = vim.fn.search("A summary", "cnw")
    equal(vim.fn.foldclosed(line) > 0, true, "the summary is folded")
  end)
  vim.cmd("Polytree prompt go on")
  said("answer three")
  contains(vim.json.encode(server:turns()[3]), "A summary.")
  server:stop()
end)

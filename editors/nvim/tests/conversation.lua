local harness = require("polytree_test.harness")
local model = require("polytree_test.model_server")

local test, wait, equal, contains = harness.test, harness.wait, harness.equal, harness.contains

--- A model server, a place, and the plugin pointed at both.
local function begin(...)
  local server = model.start()
  server:script(...)
  local place = harness.place(server.port)
  harness.enter(place)
  return server, place
end

test("a prompt streams its answer into the conversation", function()
  local server = begin(function(reply)
    reply:text("Hello")
    reply:text(", *wor")
    reply:text("ld*.\n\nSecond")
    reply:text(" paragraph\n")
    reply:text("- item")
    reply:finish()
  end)
  vim.cmd("Polytree prompt say hello")
  wait("the answer", function()
    return harness.conversation():find("- item", 1, true)
  end)
  local text = harness.conversation():gsub("%d%d:%d%d", "12:00")
  contains(text, "## You · 12:00\n\nsay hello\n")
  contains(text, "## build · small · 12:00\n\nHello, *world*.\n\nSecond paragraph\n- item\n")
  wait("the title", function()
    return harness.conversation():find("# A title", 1, true)
  end)
  wait("idle", function()
    return require("polytree").statusline():find("idle", 1, true)
  end)
  server:stop()
end)

test("a selection goes along, with text that is not saved", function()
  local server, place = begin(model.say("seen"))
  vim.cmd.edit(place.project .. "/src/main.txt")
  vim.api.nvim_buf_set_lines(0, 1, 2, false, { "TWO, not saved" })
  vim.cmd("Polytree open")
  wait("the prompt", function()
    return vim.bo.filetype == "polytree_prompt"
  end)
  vim.cmd("stopinsert | close")
  vim.cmd("2,3Polytree prompt what is this?")
  wait("the answer", function()
    return harness.conversation():find("seen", 1, true)
  end)
  local request = vim.json.encode(server:turns()[1].messages)
  contains(request, "TWO, not saved")
  equal(request:find("one\\n", 1, true), nil, "lines outside of the selection")
  contains(harness.conversation(), "@src/main.txt:2-3")
  server:stop()
end)

test("a question is shown whole, answered by a key, and the command runs", function()
  local server = begin(
    model.call("bash", { command = "echo from the tool > made.txt", description = "Make a file" }),
    model.say("made")
  )
  vim.cmd("Polytree prompt make it")
  local question = wait("the question", function()
    return require("polytree.question").current()
  end)
  equal(question.type, "bash")
  local win = wait("its window", function()
    for _, candidate in ipairs(vim.api.nvim_list_wins()) do
      if vim.bo[vim.api.nvim_win_get_buf(candidate)].filetype == "polytree_question" then
        return candidate
      end
    end
  end)
  local shown = table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(win), 0, -1, false), "\n")
  contains(shown, "echo from the tool > made.txt")
  equal(vim.api.nvim_get_current_win() == win, false, "the question took the focus")
  vim.cmd("Polytree open")
  vim.api.nvim_feedkeys("ga", "xt", false)
  wait("the answer", function()
    return harness.conversation():find("made\n", 1, true)
  end)
  equal(harness.read(vim.fn.getcwd() .. "/made.txt"), "from the tool\n")
  equal(vim.api.nvim_win_is_valid(win), false, "the question is still shown")
  contains(harness.conversation(), "✓ **bash** `echo from the tool > made.txt`")
  server:stop()
end)

test("a rejection with a reason is told to the model", function()
  local server = begin(model.call("bash", { command = "rm -rf src", description = "Clean" }), model.say("I will not."))
  vim.cmd("Polytree prompt clean up")
  wait("the question", function()
    return require("polytree.question").current()
  end)
  vim.cmd("Polytree reject keep the sources")
  wait("the answer", function()
    return harness.conversation():find("I will not.", 1, true)
  end)
  contains(vim.json.encode(server.requests), "keep the sources")
  contains(harness.conversation(), "✗ **bash** `rm -rf src`")
  server:stop()
end)

test("an edit of an open file is made in the buffer, saved, and undone with u", function()
  local server, place = begin(
    model.call("read", { filePath = "src/main.txt" }),
    model.call("edit", { filePath = "src/main.txt", oldString = "two", newString = "2" }),
    model.say("edited")
  )
  vim.cmd.edit(place.project .. "/src/main.txt")
  local buf = vim.api.nvim_get_current_buf()
  vim.cmd("Polytree prompt change it")
  wait("the question", function()
    return require("polytree.question").current()
  end)
  vim.cmd("Polytree allow")
  wait("the answer", function()
    return harness.conversation():find("edited\n", 1, true)
  end)
  equal(vim.api.nvim_buf_get_lines(buf, 0, -1, false), { "one", "2", "three" })
  equal(harness.read(place.project .. "/src/main.txt"), "one\n2\nthree\n")
  equal(vim.bo[buf].modified, false)
  contains(harness.conversation(), "(+1 -1)")
  vim.api.nvim_buf_call(buf, function()
    vim.cmd("silent undo")
  end)
  equal(vim.api.nvim_buf_get_lines(buf, 0, -1, false), { "one", "two", "three" })
  server:stop()
end)

test("unsaved text stays unsaved when a tool edits beside it", function()
  local server, place = begin(
    model.call("read", { filePath = "src/main.txt" }),
    model.call("edit", { filePath = "src/main.txt", oldString = "three", newString = "3" }),
    model.say("edited")
  )
  vim.cmd.edit(place.project .. "/src/main.txt")
  local buf = vim.api.nvim_get_current_buf()
  vim.cmd("Polytree open")
  wait("the prompt", function()
    return vim.bo.filetype == "polytree_prompt"
  end)
  vim.cmd("stopinsert | close")
  vim.api.nvim_buf_set_lines(buf, 0, 1, false, { "ONE" })
  vim.cmd("Polytree prompt change it")
  wait("the question", function()
    return require("polytree.question").current()
  end)
  vim.cmd("Polytree allow")
  wait("the answer", function()
    return harness.conversation():find("edited\n", 1, true)
  end)
  equal(vim.api.nvim_buf_get_lines(buf, 0, -1, false), { "ONE", "two", "3" })
  equal(vim.bo[buf].modified, true)
  equal(harness.read(place.project .. "/src/main.txt"), "one\ntwo\nthree\n")
  server:stop()
end)

test("a file that a command changed is read anew; unsaved text is not touched", function()
  local server, place = begin(
    model.call(
      "bash",
      { command = "printf 'x\\ny\\n' > notes.txt; printf 'z\\n' > src/main.txt", description = "Write" }
    ),
    model.say("written")
  )
  vim.cmd.edit(place.project .. "/notes.txt")
  local clean = vim.api.nvim_get_current_buf()
  vim.cmd.edit(place.project .. "/src/main.txt")
  local dirty = vim.api.nvim_get_current_buf()
  vim.api.nvim_buf_set_lines(dirty, 0, 1, false, { "mine" })
  vim.cmd("Polytree prompt write")
  wait("the question", function()
    return require("polytree.question").current()
  end)
  vim.cmd("Polytree allow")
  wait("the answer", function()
    return harness.conversation():find("written\n", 1, true)
  end)
  wait("the file anew", function()
    return vim.deep_equal(vim.api.nvim_buf_get_lines(clean, 0, -1, false), { "x", "y" })
  end)
  wait("the warning", function()
    return vim.iter(harness.notified):any(function(notice)
      return notice[1]:find("src/main.txt has changed on the disk", 1, true)
    end)
  end)
  equal(vim.api.nvim_buf_get_lines(dirty, 0, -1, false), { "mine", "two", "three" })
  server:stop()
end)

test("abort ends the turn", function()
  local server = begin(function(reply)
    reply:text("This goes on and on")
  end)
  vim.cmd("Polytree prompt talk")
  wait("the text", function()
    return harness.conversation():find("on and on", 1, true)
  end)
  vim.cmd("Polytree abort")
  wait("the end", function()
    return harness.conversation():find("MessageAbortedError", 1, true)
  end)
  contains(vim.inspect(harness.notified), "aborted")
  server:stop()
end)

test("a daemon that is killed in mid-stream is found again, and nothing is missing or doubled", function()
  local release
  local server, place = begin(function(reply)
    reply:text("before ")
    release = reply
  end, model.say("after the restart"))
  vim.cmd("Polytree prompt talk")
  wait("the text", function()
    return harness.conversation():find("before", 1, true)
  end)
  local pid
  require("polytree.daemon.client").request("server.info", {}, function(info)
    pid = info.pid
  end)
  wait("the process", function()
    return pid
  end)
  vim.uv.kill(pid, "sigkill")
  wait("the interruption", function()
    return harness.conversation():find("MessageInterruptedError", 1, true)
  end)
  vim.cmd("Polytree prompt go on")
  wait("the second answer", function()
    return harness.conversation():find("after the restart", 1, true)
  end)
  local text = harness.conversation()
  equal(select(2, text:gsub("before", "")), 1, text)
  equal(select(2, text:gsub("## You", "")), 2, text)
  equal(release ~= nil and place ~= nil, true)
  server:stop()
end)

test("a missing program is said, with what to do", function()
  local place = harness.place()
  harness.enter(place, { command = { "no-such-polytree", "stdio" } })
  vim.cmd("Polytree prompt hello")
  wait("the message", function()
    return #harness.notified > 0
  end)
  contains(harness.notified[1][1], "cannot start `no-such-polytree`: it is not on PATH")
  equal(require("polytree").statusline(), "polytree: not running")
end)

test("2,000 deltas arrive whole while they are drawn as they come", function()
  local server = begin(function(reply)
    reply:text("word0 ")
    local number = 0
    local timer = vim.uv.new_timer()
    local function send()
      for _ = 1, 20 do
        number = number + 1
        reply:text(("word%d%s"):format(number, number % 10 == 0 and "\n" or " "))
      end
      if number >= 2000 then
        timer:stop()
        timer:close()
        reply:finish()
      end
    end
    -- Only once somebody looks: what is streamed before is read whole.
    local function begin_streaming()
      if harness.conversation():find("word0", 1, true) then
        timer:start(
          0,
          5,
          vim.schedule_wrap(function()
            if not timer:is_closing() then
              send()
            end
          end)
        )
      else
        vim.defer_fn(begin_streaming, 10)
      end
    end
    begin_streaming()
  end)
  vim.cmd("Polytree prompt talk")
  local seen = {}
  wait("the last word", function()
    seen[select(2, harness.conversation():gsub("word%d+", ""))] = true
    return harness.conversation():find("word2000", 1, true)
  end)
  local expected = {}
  for number = 0, 2000 do
    expected[#expected + 1] = ("word%d%s"):format(number, number > 0 and number % 10 == 0 and "\n" or " ")
  end
  contains(harness.conversation(), table.concat(expected):gsub("%s+$", ""))
  equal(vim.tbl_count(seen) > 5, true, "the text came in one piece")
  local view = require("polytree.conversation.view").of_buffer(
    vim.api.nvim_win_get_buf(require("polytree.conversation.view").window())
  )
  io.stdout:write(
    ("        longest runs: messages %.1f ms, drawing %.1f ms\n"):format(
      require("polytree.daemon.rpc").slowest,
      view.slowest
    )
  )
  server:stop()
end)

test("checkhealth connects and says what it found", function()
  local place = harness.place()
  harness.enter(place)
  vim.cmd("checkhealth polytree")
  local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
  contains(text, "connected to polytree")
  contains(text, place.project)
end)

test("older messages are loaded above, and the text on the screen stays", function()
  local server, place = begin()
  harness.enter(place, { page = 4 })
  local session
  for number = 1, 5 do
    server:script(model.say(("answer %d"):format(number)))
    local finished
    require("polytree.daemon.client").request("session.prompt", {
      sessionID = session,
      directory = place.project,
      parts = { { type = "text", text = ("question %d"):format(number) } },
    }, function(read)
      session, finished = read.info.sessionID, true
    end)
    wait("the turn", function()
      return finished
    end)
  end
  vim.cmd("Polytree open")
  wait("the last page", function()
    return harness.conversation():find("answer 5", 1, true)
  end)
  equal(harness.conversation():find("question 1", 1, true), nil)
  contains(harness.conversation(), "older messages")
  for _ = 1, 2 do
    local before = vim.api.nvim_buf_line_count(0)
    vim.cmd.normal(vim.keycode("gO"))
    wait("older messages", function()
      return vim.api.nvim_buf_line_count(0) > before
    end)
  end
  local order = {}
  for word in harness.conversation():gmatch("question %d") do
    order[#order + 1] = word
  end
  equal(order, { "question 1", "question 2", "question 3", "question 4", "question 5" })
  equal(harness.conversation():find("older messages", 1, true), nil)
  server:stop()
end)

test("`@` completes files by the in-process language server", function()
  local place = harness.place()
  harness.enter(place)
  vim.cmd("Polytree prompt")
  wait("the prompt", function()
    return vim.bo.filetype == "polytree_prompt"
  end)
  vim.api.nvim_buf_set_lines(0, 0, -1, false, { "see @mai" })
  local result
  wait("the language server", function()
    return #vim.lsp.get_clients({ bufnr = 0, name = "polytree" }) == 1
  end)
  vim.lsp.buf_request(0, "textDocument/completion", {
    textDocument = vim.lsp.util.make_text_document_params(),
    position = { line = 0, character = 8 },
  }, function(_, answer)
    result = answer
  end)
  wait("the completion", function()
    return result
  end)
  equal(result.items[1].textEdit.newText, "src/main.txt")
  vim.cmd.stopinsert()
end)

--- Opens the file, has a tool change it, and answers its question.
---@param name string
---@param bytes string
---@param input table of the tool
---@param tool string
---@return string bytes of the file, integer buf
local function changed_by_tool(name, bytes, tool, input)
  local server, place = begin(
    model.call("read", { filePath = name }),
    model.call(tool, vim.tbl_extend("force", { filePath = name }, input)),
    model.say("changed")
  )
  harness.write(place.project .. "/" .. name, bytes)
  vim.cmd.edit(place.project .. "/" .. name)
  local buf = vim.api.nvim_get_current_buf()
  vim.cmd("Polytree prompt change it")
  wait("the question", function()
    return require("polytree.question").current()
  end)
  vim.cmd("Polytree allow")
  wait("the answer", function()
    return harness.conversation():find("changed\n", 1, true)
  end)
  local after = harness.read(place.project .. "/" .. name)
  server:stop()
  return after, buf
end

for _, case in ipairs({
  { "a carriage return inside of a line", "a\rb\ntwo\nthree\nfour\n", "three", "3", "a\rb\ntwo\n3\nfour\n" },
  { "mixed line ends", "one\r\ntwo\nthree\r\n", "two", "2", "one\r\n2\nthree\r\n" },
  { "dos line ends", "one\r\ntwo\r\nthree\r\n", "two", "2", "one\r\n2\r\nthree\r\n" },
  { "no line break at the end", "one\ntwo", "one", "1", "1\ntwo" },
  { "a byte order mark", "\xef\xbb\xbfone\ntwo\n", "two", "2", "\xef\xbb\xbfone\n2\n" },
  {
    "latin-1",
    "caf\xe9 caf\xe9 \xe0 la cr\xe8me\ntwo\n",
    "two",
    "\xc3\xa9",
    "caf\xe9 caf\xe9 \xe0 la cr\xe8me\n\xe9\n",
  },
}) do
  test("an edit of an open file keeps its bytes: " .. case[1], function()
    equal(changed_by_tool("x.txt", case[2], "edit", { oldString = case[3], newString = case[4] }), case[5])
  end)
end

test("a write to an empty open file adds no line", function()
  local after, buf = changed_by_tool("empty.txt", "", "write", { content = "new\n" })
  equal(after, "new\n")
  wait("the buffer", function()
    return vim.deep_equal(vim.api.nvim_buf_get_lines(buf, 0, -1, false), { "new" })
  end)
end)

test("what others have written a moment ago is not overwritten by an edit in the editor", function()
  local server, place = begin(
    model.call("read", { filePath = "notes.txt" }),
    model.call("edit", { filePath = "notes.txt", oldString = "beta", newString = "BETA" }),
    model.say("tried")
  )
  vim.cmd.edit(place.project .. "/notes.txt")
  vim.cmd("Polytree prompt change it")
  wait("the question", function()
    return require("polytree.question").current()
  end)
  -- No event and no 'autoread' has told the editor of it yet.
  require("polytree.editor.buffers").reload = function() end
  harness.write(place.project .. "/notes.txt", "by others\nalpha\nbeta\n")
  vim.cmd("Polytree allow")
  wait("the answer", function()
    return harness.conversation():find("tried\n", 1, true)
  end)
  contains(harness.read(place.project .. "/notes.txt"), "by others\nalpha\n")
  server:stop()
end)

test("an answer that comes with the next question is not taken for it", function()
  local server, place = begin(
    model.call("bash", { command = "touch one", description = "One" }),
    model.call("bash", { command = "touch two", description = "Two" }),
    model.say("both")
  )
  vim.cmd("Polytree prompt go")
  local first = wait("the first question", function()
    return require("polytree.question").current()
  end)
  vim.cmd("Polytree allow")
  wait("the second question", function()
    local question = require("polytree.question").current()
    return question and question.id ~= first.id
  end)
  vim.cmd("Polytree allow")
  contains(vim.inspect(harness.notified), "another question is shown now")
  vim.wait(350)
  equal(vim.uv.fs_stat(place.project .. "/two"), nil)
  vim.cmd("Polytree allow")
  wait("the answer", function()
    return harness.conversation():find("both\n", 1, true)
  end)
  server:stop()
end)

test("the draft that is typed while a prompt is sent is kept", function()
  local server = begin(model.say("one"))
  vim.cmd("Polytree prompt")
  wait("the prompt", function()
    return vim.bo.filetype == "polytree_prompt"
  end)
  local buf = vim.api.nvim_get_current_buf()
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, { "first" })
  require("polytree.prompt").submit()
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, { "first", "and more" })
  wait("the answer", function()
    return harness.conversation():find("one\n", 1, true)
  end)
  equal(vim.api.nvim_buf_get_lines(buf, 0, -1, false), { "first", "and more" })
  server:stop()
end)

--- What needs no daemon: rendering, state, settings, parsing.
local harness = require("polytree_test.harness")

local test, equal, contains = harness.test, harness.equal, harness.contains

local function part(id, fields)
  return vim.tbl_extend("force", { id = id, messageID = "msg_2", sessionID = "ses_1", type = "text" }, fields)
end

local function event(cursor, kind, properties)
  return { cursor = cursor, type = kind, sessionID = "ses_1", properties = properties }
end

test("a delta is never applied twice, whatever is read in between", function()
  local state = require("polytree.conversation.state").new("ses_1")
  local text = require("polytree.conversation.state").text
  local info = { id = "msg_2", role = "assistant", sessionID = "ses_1", parentID = "msg_1" }
  state:prepend({ { info = info, parts = { part("prt_1", { text = "ab" }) }, cursor = 10 } }, true)
  equal(
    state:apply(event(9, "message.part.delta", { messageID = "msg_2", partID = "prt_1", field = "text", delta = "b" })),
    nil
  )
  equal(
    state:apply(event(11, "message.part.delta", { messageID = "msg_2", partID = "prt_1", field = "text", delta = "c" })).kind,
    "append"
  )
  equal(text(state.by_id.msg_2.by_id.prt_1), "abc")
  state:replace({ info = info, parts = { part("prt_1", { text = "abcd" }) }, cursor = 12 })
  equal(
    state:apply(event(12, "message.part.delta", { messageID = "msg_2", partID = "prt_1", field = "text", delta = "d" })),
    nil
  )
  equal(text(state.by_id.msg_2.by_id.prt_1), "abcd")
end)

test("messages that are not loaded stay out until they are", function()
  local state = require("polytree.conversation.state").new("ses_1")
  state:prepend({ { info = { id = "msg_5", role = "user" }, parts = {}, cursor = 10 } }, false)
  equal(state:apply(event(11, "message.updated", { info = { id = "msg_3", role = "user" } })), nil)
  equal(#state.entries, 1)
  state:prepend({ { info = { id = "msg_3", role = "user" }, parts = {}, cursor = 12 } }, true)
  equal(state.entries[1].info.id, "msg_3")
end)

test("a tool's call is one line with foldable details, and hides nothing in control characters", function()
  local render = require("polytree.conversation.render")
  local config = require("polytree.config")
  local lines = render.part({
    type = "tool",
    tool = "bash",
    subject = "cat a\27[2J `b`",
    state = {
      status = "completed",
      input = { command = "cat a\27[2J `b`" },
      title = "x",
      output = "one\ntwo",
      metadata = { exit = 3 },
    },
  }, { role = "assistant" })
  equal(lines[1], "✗ **bash** `cat a[2J ˋbˋ` (exit code 3)")
  equal(lines[2], "  │ one")
  equal(render.fold_level(lines[2], config.values), 1)
  equal(render.fold_level(lines[1], config.values), 0)
  config.set({ fold_tools = false })
  equal(render.fold_level(lines[2], config.values), 0)
end)

test("a diff is shown with its counts", function()
  local lines = require("polytree.conversation.render").part({
    type = "tool",
    tool = "edit",
    state = {
      status = "completed",
      input = { filePath = "a.txt" },
      title = "a.txt",
      output = "done",
      metadata = { diff = "@@ -1 +1 @@\n-a\n+b\n", additions = 1, deletions = 1 },
    },
  }, { role = "assistant" })
  equal(lines, { "✓ **edit** `a.txt` (+1 -1)", "  │ @@ -1 +1 @@", "  │ -a", "  │ +b", "" })
end)

test("settings: what is wrong is named, and nothing changes", function()
  local config = require("polytree.config")
  contains(config.set({ comand = {} }), "unknown setting `comand`")
  contains(config.set({ size = "wide" }), "`size` must be a number")
  contains(config.set({ keys = { allow = 3 } }), "`keys.allow` must be a string")
  contains(config.set({ position = "middle" }), "`position` must be one of")
  contains(config.set({ model = "gpt" }), '"provider/model"')
  equal(config.values.position, "right")
  equal(config.set({ keys = { allow = false }, position = "below" }), nil)
  equal({ config.values.keys.allow, config.values.keys.reject, config.values.position }, { false, "gr", "below" })
end)

test("@path names files that exist, with lines", function()
  local place = harness.place()
  harness.enter(place)
  local parts =
    require("polytree.prompt.context").parse("look at @src/main.txt:2-3, @notes.txt. mail a@notes.txt and @nothing")
  local urls = vim.tbl_map(function(item)
    return item.url or item.type
  end, parts)
  equal(urls, {
    "text",
    "file://" .. place.project .. "/src/main.txt?start=2&end=3",
    "file://" .. place.project .. "/notes.txt",
  })
  equal(require("polytree.prompt.context").url("/a b/ü.txt"), "file:///a%20b/%C3%BC.txt")
end)

test("the word that is completed", function()
  local complete = require("polytree.prompt.complete")
  equal({ complete.word("see @src/ma") }, { "src/ma", 5 })
  equal({ complete.word("@") }, { "", 1 })
  equal(complete.word("mail a@b"), nil)
  equal(complete.word("no"), nil)
end)

test("the old side of a patch", function()
  local patch = "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
  equal(require("polytree.review.diff").before(patch), { "one", "two", "three" })
end)

test("sub-commands complete, and a wrong one names the nearest", function()
  equal(vim.fn.getcompletion("Polytree al", "cmdline"), { "allow", "always" })
  vim.cmd("Polytree lwa")
  contains(harness.notified[1][1], "there is no command `lwa`; did you mean always?")
  harness.notified = {}
  vim.cmd("Polytree al")
  contains(harness.notified[1][1], "did you mean allow or always?")
end)

test("nothing is loaded or started before the first use", function()
  for name in pairs(package.loaded) do
    equal(vim.startswith(name, "polytree."), false, name)
  end
  equal(require("polytree").statusline(), "")
end)

test("the help has a tag for each command and each mapping, and every setting", function()
  local root = vim.fs.dirname(vim.fs.dirname(vim.fs.normalize(debug.getinfo(1, "S").source:sub(2))))
  local help = harness.read(root .. "/doc/polytree.txt")
  for name in pairs(require("polytree.command").commands) do
    if not help:find("Polytree%[?!?%]? " .. name) then
      error("no help about :Polytree " .. name)
    end
  end
  local function look(settings, indent)
    for name, value in pairs(settings) do
      contains(help, ("\n%s%s = "):format(indent, name))
      if type(value) == "table" and not vim.islist(value) then
        look(value, indent .. "  ")
      end
    end
  end
  look(require("polytree.config").defaults, "      ")
  vim.cmd.helptags(root .. "/doc")
  local tags = harness.read(root .. "/doc/tags")
  vim.fn.delete(root .. "/doc/tags")
  contains(tags, ":Polytree\t")
end)

test("a patch of a whole file is told with a few lines around its changes", function()
  local patch = { "--- a.txt", "+++ a.txt", "@@ -1,12 +1,12 @@" }
  for line = 1, 12 do
    vim.list_extend(patch, line == 6 and { "-old", "+new" } or { " line " .. line })
  end
  equal(vim.split(require("polytree.prompt.context").narrow(table.concat(patch, "\n")), "\n"), {
    "--- a.txt",
    "+++ a.txt",
    "@@ -3 +3 @@",
    " line 3",
    " line 4",
    " line 5",
    "-old",
    "+new",
    " line 7",
    " line 8",
    " line 9",
  })
end)

test("names with line breaks stay on their line", function()
  local render = require("polytree.conversation.render")
  local lines = render.part({ type = "file", filename = "a\nb.txt", url = "file:///a%0Ab.txt" }, { role = "user" })
  equal(lines, { "@a b.txt", "" })
  for _, line in ipairs(render.heading({ role = "assistant", agent = "a\nb", modelID = "m", time = { created = 0 } })) do
    equal(line:find("\n", 1, true), nil)
  end
end)

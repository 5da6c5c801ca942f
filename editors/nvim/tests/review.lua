--- Review of what a session has changed, hunk by hunk and file by file.
local harness = require("polytree_test.harness")
local model = require("polytree_test.model_server")

local test, wait, equal, contains = harness.test, harness.wait, harness.equal, harness.contains

---@param changed? table<integer, string>
---@return string text of 30 lines
local function lines(changed)
  local all = {}
  for number = 1, 30 do
    all[number] = changed and changed[number] or ("line %d"):format(number)
  end
  return table.concat(all, "\n") .. "\n"
end

local function edit(path, old, new)
  return model.call("edit", { filePath = path, oldString = old, newString = new })
end

--- A session that has changed lines 3 and 25 of `long.txt`, and made `made.txt`.
---@return polytree.ModelServer, polytree.Place
local function changed()
  local server = model.start()
  local place = harness.place(server.port)
  harness.write(place.project .. "/long.txt", lines())
  harness.enter(place)
  server:script(
    model.call("read", { filePath = "long.txt" }),
    edit("long.txt", "line 3\n", "LINE 3\nand more\n"),
    edit("long.txt", "line 25\n", ""),
    model.call("write", { filePath = "made.txt", content = "made\n" }),
    model.say("all done")
  )
  vim.cmd.edit("long.txt")
  vim.cmd("Polytree mode edits")
  vim.cmd("Polytree prompt change it")
  wait("the answer", function()
    return harness.conversation():find("all done", 1, true)
  end)
  return server, place
end

local review = function()
  return require("polytree.review")
end

---@param buf integer
---@param count integer
local function hunks(buf, count)
  wait(("%d hunks"):format(count), function()
    return #review().hunks_of(buf) == count
  end)
end

---@param text string
local function says(text)
  wait(text, function()
    return vim.inspect(harness.notified):find(text, 1, true)
  end)
end

test("of a changed file one hunk is kept and one undone, and the model is told", function()
  local server, place = changed()
  local buf = vim.fn.bufnr("long.txt")
  local win = vim.fn.win_findbuf(buf)[1]
  vim.api.nvim_set_current_win(win)
  hunks(buf, 2)
  contains(require("polytree").statusline(), "3 hunks to review")
  vim.api.nvim_win_set_cursor(win, { 1, 0 })
  vim.cmd("Polytree keep")
  says("no open hunk is here")
  vim.cmd("Polytree next")
  equal(vim.api.nvim_win_get_cursor(win)[1], 3)
  vim.cmd("Polytree keep")
  hunks(buf, 1)
  vim.cmd("Polytree next")
  vim.cmd("Polytree undo")
  hunks(buf, 0)
  wait("the undone text", function()
    return harness.read(place.project .. "/long.txt") == lines({ [3] = "LINE 3\nand more" })
  end)
  equal(vim.api.nvim_buf_line_count(buf), 31)
  contains(require("polytree").statusline(), "1 hunk to review")
  -- The next one is in another file.
  vim.cmd("Polytree next")
  equal(vim.fn.expand("%:t"), "made.txt")
  server:script(model.say("I see"))
  vim.cmd("Polytree prompt go on")
  wait("the next answer", function()
    return harness.conversation():find("I see", 1, true)
  end)
  local turns = server:turns()
  local told = vim.json.encode(turns[#turns].messages)
  contains(told, "Undone: these changes")
  contains(told, "long.txt")
  server:stop()
end)

test("hunks are listed, and decided about in the list, also the other way round", function()
  local server, place = changed()
  vim.cmd("Polytree review")
  local list = wait("the list", function()
    local items = vim.fn.getqflist()
    return #items == 3 and vim.bo.buftype == "quickfix" and items
  end)
  local texts = vim.tbl_map(function(item)
    return ("%s:%d %s"):format(vim.fn.fnamemodify(vim.fn.bufname(item.bufnr), ":t"), item.lnum, item.text)
  end, list)
  equal(texts, { "long.txt:3 open +2 -1", "long.txt:26 open +0 -1", "made.txt:1 open +1 -0" })
  vim.cmd("1,2Polytree undo")
  wait("the old text", function()
    return harness.read(place.project .. "/long.txt") == lines()
  end)
  vim.cmd("1Polytree keep")
  wait("the new text again", function()
    return harness.read(place.project .. "/long.txt") == lines({ [3] = "LINE 3\nand more" })
  end)
  vim.cmd("Polytree undo all")
  says("1 hunk undone")
  equal(vim.uv.fs_stat(place.project .. "/made.txt"), nil)
  wait("nothing left", function()
    return not require("polytree").statusline():find("review", 1, true)
  end)
  server:stop()
end)

test("a file is compared with what it was before the session, and decided about by keys", function()
  local server, place = changed()
  vim.cmd("Polytree review long.txt")
  wait("the diff", function()
    return vim.wo.diff and #vim.api.nvim_tabpage_list_wins(0) == 2
  end)
  local windows = vim.api.nvim_tabpage_list_wins(0)
  local old = vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(windows[1]), 0, -1, false)
  equal(table.concat(old, "\n") .. "\n", lines())
  equal(vim.fn.expand("%:t"), "long.txt")
  local buf = vim.api.nvim_get_current_buf()
  hunks(buf, 2)
  -- A line above moves the hunks.
  vim.api.nvim_buf_set_lines(buf, 0, 0, false, { "mine" })
  vim.api.nvim_win_set_cursor(0, { 4, 0 })
  vim.api.nvim_feedkeys(vim.keycode("\\u"), "xt", false)
  hunks(buf, 1)
  equal(vim.api.nvim_buf_get_lines(buf, 0, 4, false), { "mine", "line 1", "line 2", "line 3" })
  vim.cmd("Polytree keep file")
  hunks(buf, 0)
  vim.cmd("tabclose")
  equal(vim.fn.maparg("\\u", "n", false, true).buffer, nil)
  server:stop()
  equal(harness.read(place.project .. "/made.txt"), "made\n")
end)

test("where the user has changed the same lines, nothing is undone without a word", function()
  local server, place = changed()
  local buf = vim.fn.bufnr("long.txt")
  vim.api.nvim_set_current_win(vim.fn.win_findbuf(buf)[1])
  hunks(buf, 2)
  vim.api.nvim_buf_set_lines(buf, 2, 3, false, { "my line 3" })
  vim.cmd("silent write")
  local offered
  vim.ui.select = function(items, options, done)
    offered = options.prompt
    done(items[1], 1)
  end
  vim.cmd("Polytree undo file")
  wait("the choice", function()
    return offered
  end)
  says("long.txt")
  wait("the rest", function()
    return harness.read(place.project .. "/long.txt"):find("line 25", 1, true)
  end)
  contains(harness.read(place.project .. "/long.txt"), "my line 3\nand more\n")
  server:stop()
end)

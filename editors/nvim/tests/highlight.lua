--- How the conversation is highlighted: in pieces, by Markdown's own rules.
local harness = require("polytree_test.harness")

local test, wait, equal = harness.test, harness.wait, harness.equal

---@param text string
---@param fence? string
---@return string[] pieces, boolean is_open
local function pieces(text, fence)
  local lines = vim.split(text, "\n", { plain = true })
  local found, is_open = require("polytree.conversation.highlight").pieces(lines, fence)
  return vim.tbl_map(function(piece)
    return (piece.fence and piece.fence .. "|" or "") .. table.concat(lines, "\n", piece.first, piece.last)
  end, found),
    is_open
end

test("a text is cut where no later text can change what stands before", function()
  equal({ pieces("one\ntwo\n\nthree\n") }, { { "one\ntwo\n", "three\n" }, true })
  equal(pieces("- a\n\n- b\n\n  of b\n\nnext"), { "- a\n\n- b\n\n  of b\n", "next" })
  equal(
    pieces("```lua\n\nlocal a\n\n# no heading\n```\n\nafter"),
    { "```lua\n\nlocal a\n\n# no heading\n```\n", "after" }
  )
  equal(pieces("local b\n```\n\nafter", "```lua"), { "```lua|local b\n```\n", "after" })
  equal(pieces("✓ **bash** `ls`\n  │ # no heading\n  │ two\n\nnext"), { "✓ **bash** `ls`", "", "next" })
end)

test("a long code block is cut into pieces that know their language", function()
  local line = ("x"):rep(99)
  local found = pieces("```lua\n" .. (line .. "\n"):rep(50) .. "```\nend")
  equal(#found, 3)
  equal(vim.startswith(found[2], "```lua|" .. line), true)
  equal(vim.endswith(found[3], line .. "\n```\nend"), true)
end)

--- The highlight groups at each place of a line of a buffer, by where they begin.
---@param buf integer
---@param line string
---@return table<string, string> groups by text
local function groups(buf, line)
  local found = {}
  local namespace = require("polytree.conversation.highlight").namespace
  for row, text in ipairs(vim.api.nvim_buf_get_lines(buf, 0, -1, false)) do
    if text == line then
      local marks = vim.api.nvim_buf_get_extmarks(
        buf,
        namespace,
        { row - 1, 0 },
        { row - 1, -1 },
        { details = true, overlap = true }
      )
      for _, mark in ipairs(marks) do
        local last = mark[4].end_row > row - 1 and #text or mark[4].end_col
        found[mark[4].hl_group .. " " .. text:sub(mark[3] + 1, last)] = true
      end
    end
  end
  return found
end

test("what is drawn is highlighted: at once, while it grows, and when it is changed", function()
  local folder = vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, "S").source:sub(2)))
  local emit
  package.loaded["polytree.daemon.client"] = {
    client = { state = "ready", methods = {}, server = { cursor = 0 } },
    directory = function()
      return folder
    end,
    on = function() end,
    stop = function() end,
    request = function(method, _, done)
      done(method == "session.get" and { id = "ses_1", title = "A *title*" } or {})
    end,
    subscribe = function(_, on_event)
      emit = on_event
      return {}
    end,
    unsubscribe = function() end,
  }
  local view = require("polytree.conversation.view").show("ses_1")
  local cursor = 0
  local function event(kind, properties)
    cursor = cursor + 1
    emit({ type = kind, sessionID = "ses_1", cursor = cursor, properties = properties })
  end
  emit({ type = "server.connected", cursor = 0, properties = {} })
  local info = { id = "msg_1", role = "assistant", agent = "build", modelID = "small", time = { created = 0 } }
  event("message.updated", { info = info })
  event("message.part.updated", { part = { id = "prt_1", messageID = "msg_1", type = "text", text = "" } })
  local function grow(text)
    event("message.part.delta", { messageID = "msg_1", partID = "prt_1", field = "text", delta = text })
  end
  local function shows(line, group)
    wait(group .. " in " .. line, function()
      return groups(view.buf, line)[group]
    end, 3000)
  end
  grow("Some **bo")
  wait("the text", function()
    return vim.fn.search("Some", "n") > 0
  end)
  grow("ld** and `code`\n\n")
  shows("Some **bold** and `code`", "@markup.strong.markdown_inline **bold**")
  shows("Some **bold** and `code`", "@markup.raw.markdown_inline `code`")
  grow("```lua\nlocal a = 1\n")
  shows("local a = 1", "@keyword.lua local")
  grow("```\n\n## Heading\n")
  shows("## Heading", "@markup.heading.2.markdown ## Heading")
  -- There is no parser for Rust: its syntax rules do it.
  grow("\n```rust\nfn main() {}\n```\n")
  wait("the syntax of Rust", function()
    return vim.api.nvim_buf_call(view.buf, function()
      local line = vim.fn.search("^fn main", "nw")
      return line > 0 and vim.fn.synIDattr(vim.fn.synID(line, 1, 1), "name") == "rustKeyword"
    end)
  end)
  equal(groups(view.buf, "fn main() {}")["@markup.raw.block.markdown fn main() {}"], nil, "a mark hides the syntax")
  shows("# A *title*", "@markup.italic.markdown_inline *title*")
  -- Sent whole, it is drawn and highlighted anew; nothing of the old text stays.
  event("message.part.updated", { part = { id = "prt_1", messageID = "msg_1", type = "text", text = "Only *this*\n" } })
  shows("Only *this*", "@markup.italic.markdown_inline *this*")
  wait("nothing else", function()
    return not vim
      .iter(
        vim.api.nvim_buf_get_extmarks(
          view.buf,
          require("polytree.conversation.highlight").namespace,
          0,
          -1,
          { details = true }
        )
      )
      :any(function(mark)
        return mark[4].hl_group == "@keyword.lua"
      end)
  end)
  equal(vim.treesitter.highlighter.active[view.buf], nil, "a parser of the whole buffer edits its trees at each change")
end)

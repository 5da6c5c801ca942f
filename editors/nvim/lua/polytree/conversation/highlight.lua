--- Highlighting of a conversation. Text is parsed in pieces, each once, and never as a whole: an incremental parser of
--- the whole buffer edits the tree of every paragraph at each change, which takes longer than a frame.
---
--- A piece is one or more blocks of Markdown that no later text can change.
local code = require("polytree.conversation.code")

local M = {}

local api = vim.api
local uv = vim.uv or vim.loop

local ns = api.nvim_create_namespace("polytree.highlight")
M.namespace = ns

--- Longest run before other events get a turn, in milliseconds; one piece may take it beyond.
local BUDGET_MS = 4
--- A longer piece is cut at a line, in bytes: what a run takes depends on it.
local MAX_PIECE = 2 * 1024
--- A line above this size is not highlighted, in bytes.
local MAX_LINE = 8 * 1024
--- A piece that grows is highlighted at most once in so many milliseconds.
local GROWING_MS = 120
local IGNORED = { spell = true, nospell = true, none = true }
local CAN_CONCEAL_LINES = vim.fn.has("nvim-0.11") == 1

---@type string? the message that says why nothing is highlighted
local missing

--- Whether the line continues no list and no quote: a piece may begin before it.
---@param line string
---@return boolean
local function begins_block(line)
  return line:find('^[%a\128-\255`~"(#]') ~= nil or vim.startswith(line, "**")
end

--- Lines of details, thoughts and summaries (`render.DETAIL`, `render.THOUGHT`, `render.SUMMARY`), which are not Markdown.
---@param line string
---@return boolean
local function is_plain(line)
  return line:find("^  [│┊┆]") ~= nil
end

---@class polytree.Piece
---@field first integer its first line, from 1
---@field last integer
---@field fence? string the line that began the code block which it continues

--- Where the pieces of a block begin and end.
---@param lines string[]
---@param fence? string the line that began a code block which goes on in `lines`
---@return polytree.Piece[]
---@return boolean is_open the last piece may change when text is appended
function M.pieces(lines, fence)
  local pieces = {}
  ---@type polytree.Piece?
  local piece
  local bytes, after_empty, end_of_fence = 0, false, fence and fence:match("```+") or fence and fence:match("~~~+")
  local function close(last)
    if piece then
      piece.last = last
      pieces[#pieces + 1] = piece
    end
    piece, bytes = nil, 0
  end
  for index, line in ipairs(lines) do
    if is_plain(line) and not fence then
      close(index - 1)
    else
      local mark = line:match("^ ? ? ?(```+)") or line:match("^ ? ? ?(~~~+)")
      local ends_fence = fence ~= nil and mark ~= nil and vim.startswith(mark, end_of_fence) and vim.trim(line) == mark
      if piece and after_empty and not fence and begins_block(line) then
        close(index - 1)
      elseif piece and bytes + #line > MAX_PIECE and not ends_fence then
        close(index - 1)
      end
      piece = piece or { first = index, last = index, fence = fence }
      bytes = bytes + #line + 1
      if ends_fence then
        fence = nil
      elseif mark and not fence then
        fence, end_of_fence = line, mark
      end
    end
    after_empty = line == ""
  end
  local is_open = piece ~= nil
  close(#lines)
  return pieces, is_open
end

--- Kept here: Neovim 0.10 forgets queries when memory is collected, and reading one takes 10 ms.
---@type table<string, vim.treesitter.Query|false>
local queries = {}

---@param language string
---@return vim.treesitter.Query?
local function query_of(language)
  if queries[language] == nil then
    local ok, query = pcall(vim.treesitter.query.get, language, "highlights")
    queries[language] = ok and query or false
  end
  return queries[language] or nil
end

--- What is read before the first piece, one at a time: each takes some milliseconds.
---@type fun()[]
local preparations = {
  function()
    query_of("markdown")
  end,
  function()
    query_of("markdown_inline")
  end,
  function()
    vim.treesitter.query.get("markdown", "injections")
  end,
  function()
    vim.treesitter.get_string_parser("*a*\n", "markdown"):parse(true)
  end,
}

--- Highlights one piece, which stands at a row of the buffer.
---@param buf integer
---@param row integer from 0
---@param text string
---@param skipped integer lines at the beginning of the text that are not in the buffer
---@param has_syntax boolean the code in it is highlighted by syntax rules, which marks would hide
local function light(buf, row, text, skipped, has_syntax)
  local parser = vim.treesitter.get_string_parser(text, "markdown")
  parser:parse(true)
  local function walk(tree_of_language, depth)
    local language = tree_of_language:lang()
    local query = query_of(language)
    for _, tree in pairs(query and tree_of_language:trees() or {}) do
      for id, node, metadata in query:iter_captures(tree:root(), text, 0, -1) do
        local name = query.captures[id]
        local own = metadata[id] or {}
        local range = vim.treesitter.get_range(node, text, own)
        local conceals = metadata.conceal or metadata.conceal_lines or own.conceal or own.conceal_lines
        local is_hiding = has_syntax and name == "markup.raw.block" and not conceals
        if not is_hiding and not IGNORED[name] and name:sub(1, 1) ~= "_" and range[1] >= skipped then
          pcall(api.nvim_buf_set_extmark, buf, ns, row + range[1] - skipped, range[2], {
            end_row = row + range[4] - skipped,
            end_col = range[5],
            hl_group = ("@%s.%s"):format(name, language),
            priority = (tonumber(metadata.priority) or 100) + depth,
            conceal = metadata.conceal or own.conceal,
            conceal_lines = CAN_CONCEAL_LINES and (metadata.conceal_lines or own.conceal_lines) or nil,
            strict = false,
            undo_restore = false,
          })
        end
      end
    end
    for _, child in pairs(tree_of_language:children()) do
      walk(child, depth + 1)
    end
  end
  walk(parser, 0)
end

--- Highlights what is not yet highlighted of a block. Returns false where time ran out.
---@param view polytree.View
---@param block polytree.Block
---@param row integer of its first line, from 0
---@param deadline number
---@return boolean is_done
local function light_block(view, block, row, deadline)
  local from = block.lit or 0
  local lines = api.nvim_buf_get_lines(view.buf, row + from, row + block.lines, false)
  local pieces, is_open = M.pieces(lines, block.fence)
  api.nvim_buf_clear_namespace(view.buf, ns, row + from, row + block.lines)
  for index, piece in ipairs(pieces) do
    local text = table.concat(lines, "\n", piece.first, piece.last) .. "\n"
    local fence = piece.fence or lines[piece.first]
    local syntax = code.syntax_of(fence)
    if syntax then
      code.include(view.buf, fence, syntax)
    end
    if #text <= MAX_LINE then
      local prefix = piece.fence and piece.fence .. "\n" or ""
      light(view.buf, row + from + piece.first - 1, prefix .. text, piece.fence and 1 or 0, syntax ~= nil)
    end
    if index == #pieces and is_open and block.tail then
      -- It is highlighted again when more of it is there.
      block.lit, block.fence = from + piece.first - 1, piece.fence
      return true
    end
    block.lit = from + piece.last
    block.fence = pieces[index + 1] and pieces[index + 1].fence
    if uv.hrtime() > deadline and index < #pieces then
      return false
    end
  end
  return true
end

---@param view polytree.View
local function run(view)
  view.lighting = false
  if missing or not api.nvim_buf_is_valid(view.buf) then
    return
  end
  local started = uv.hrtime()
  local prepare = table.remove(preparations, 1)
  if prepare then
    local ok, why = pcall(prepare)
    missing = not ok and tostring(why) or nil
    view.slowest = math.max(view.slowest, (uv.hrtime() - started) / 1e6)
    return M.schedule(view, 0)
  end
  local deadline = started + BUDGET_MS * 1e6
  local row = api.nvim_buf_line_count(view.buf)
  local is_done = true
  -- From the end, which is what is looked at.
  for index = #view.blocks, 1, -1 do
    local block = view.blocks[index]
    row = row - block.lines
    if block.dim then
      local ok, done = pcall(light_block, view, block, row, deadline)
      if not ok then
        missing = tostring(done)
        require("polytree.log").warn("highlighting: %s", missing)
        return
      end
      if done then
        block.dim = nil
      end
      if not done or uv.hrtime() > deadline then
        is_done = index == 1 and done
        break
      end
    end
  end
  local spent = (uv.hrtime() - started) / 1e6
  view.slowest = math.max(view.slowest, spent)
  if not is_done then
    M.schedule(view, 0)
  end
end

--- Highlights soon what was drawn: blocks whose `dim` is set.
---@param view polytree.View
---@param wait? integer milliseconds
function M.schedule(view, wait)
  if view.lighting then
    return
  end
  view.lighting = true
  vim.defer_fn(function()
    run(view)
  end, wait or GROWING_MS)
end

--- Forgets the highlights of lines that are about to be replaced.
---@param buf integer
---@param first integer from 0
---@param last integer
function M.clear(buf, first, last)
  api.nvim_buf_clear_namespace(buf, ns, first, last)
end

return M

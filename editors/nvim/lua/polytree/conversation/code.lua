--- Code in a conversation whose language has no tree-sitter parser: it is highlighted by the syntax rules of Vim.
local M = {}

local api = vim.api

--- What a language is called behind a fence, where it is no name of a syntax and no ending of its files.
local ALIASES =
  { shell = "sh", console = "sh", golang = "go", ["c++"] = "cpp", ["c#"] = "cs", csharp = "cs", viml = "vim" }

--- The syntax of a language, false where it has none or has a parser.
---@type table<string, string|false>
local syntaxes = {}

---@param language string
---@return boolean
local function has_parser(language)
  local name = vim.treesitter.language.get_lang(language) or language
  local ok, added = pcall(vim.treesitter.language.add, name)
  return ok and added ~= nil
end

---@param name string
---@return boolean
local function is_syntax(name)
  return name:match("^[%w_]+$") ~= nil and #api.nvim_get_runtime_file(("syntax/%s.vim"):format(name), false) > 0
end

--- The syntax by which a code block is highlighted; nil where a parser does it, or nothing can.
---@param fence string the line that begins it
---@return string?
function M.syntax_of(fence)
  local word = fence:match("^%s*[`~]+%s*([%w_+#-]+)")
  if not word then
    return nil
  end
  word = word:lower()
  if syntaxes[word] == nil then
    local name = ALIASES[word] or word
    if not is_syntax(name) then
      name = vim.filetype.match({ filename = "code." .. name, contents = {} }) or name
    end
    syntaxes[word] = is_syntax(name) and not has_parser(name) and name
  end
  return syntaxes[word] or nil
end

--- Makes the blocks of a syntax known to a buffer.
---@param buf integer
---@param fence string
---@param name string
function M.include(buf, fence, name)
  local word = fence:match("^%s*[`~]+%s*([%w_+#-]+)")
  local known = vim.b[buf].polytree_code or {}
  if vim.tbl_contains(known, word) then
    return
  end
  vim.b[buf].polytree_code = vim.list_extend(known, { word })
  api.nvim_buf_call(buf, function()
    local group = "polytreeCode_" .. name
    vim.b.current_syntax = nil
    pcall(vim.cmd, ("syntax include @%s syntax/%s.vim"):format(group, name))
    local mark = [[\(```\+\|\~\~\~\+\)\s*]]
    local first = ([[^\s\{0,3}%s\c%s\>.*$]]):format(mark, vim.fn.escape(word, [[\+*.#~]]))
    local last = ([[^\s\{0,3}%s$]]):format(mark)
    vim.cmd(([[syntax region %s start="%s" end="%s" keepend contains=@%s]]):format(group, first, last, group))
    vim.cmd("syntax sync clear | syntax sync minlines=200")
    vim.b.current_syntax = "polytree"
  end)
end

return M

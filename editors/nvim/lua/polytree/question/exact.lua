--- Text of a model as it can be judged: nothing in it is invisible, and nothing changes its direction.
local M = {}

--- A longer run of spaces is replaced by its length: it would push what follows out of sight.
local MAX_SPACES = 20

---@param code integer
---@return boolean
local function is_hidden(code)
  return (code >= 0x80 and code <= 0x9F)
    or code == 0xAD
    or code == 0x061C
    or (code >= 0x200B and code <= 0x200F)
    or (code >= 0x2028 and code <= 0x202E)
    or (code >= 0x2060 and code <= 0x206F)
    or code == 0xFEFF
    or (code >= 0xE0000 and code <= 0xE007F)
end

--- Control characters, characters without a shape and those that reverse the direction of writing, as `\u{202e}`.
---@param text string
---@return string
function M.characters(text)
  text = text:gsub("[%z\1-\8\11-\31\127]", function(character)
    return ("\\u{%x}"):format(character:byte())
  end)
  return (
    text:gsub("[\194-\244][\128-\191]+", function(character)
      local ok, code = pcall(vim.fn.char2nr, character, true)
      return ok and is_hidden(code) and ("\\u{%x}"):format(code) or nil
    end)
  )
end

--- The lines of a text, each as it can be judged.
---@param text string
---@return string[]
function M.lines(text)
  return vim.tbl_map(function(line)
    return (
      M.characters(line):gsub("[ \t]+", function(spaces)
        return #spaces > MAX_SPACES and ("<%d spaces>"):format(#spaces) or spaces
      end)
    )
  end, vim.split(text, "\n", { plain = true }))
end

return M

--- A conversation as blocks of lines: one for each heading, part and ending. Pure.
local config = require("polytree.config")
local render = require("polytree.conversation.render")
local state = require("polytree.conversation.state")

local M = {}

---@class polytree.Laid
---@field key string
---@field lines string[]
---@field message string the message that it belongs to; empty for none
---@field tail? string of a text: what stands behind its last line break

--- What stands behind the last line break of a text part, which a stream continues.
---@param part table
---@param lines string[] as it is drawn
---@return string?
local function tail_of(part, lines)
  if part.type ~= "text" or #lines == 0 then
    return nil
  end
  return state.text(part):sub(-1) == "\n" and "" or lines[#lines - 1]
end

--- The blocks of one message.
---@param entry polytree.Entry
---@param previous? polytree.Entry the message before it
---@param kept? integer only so many of its parts; 0 for a message that is undone
---@return polytree.Laid[]
function M.entry(entry, previous, kept)
  local blocks = {}
  local info = entry.info
  if kept == 0 then
    return blocks
  end
  local function add(key, lines, tail)
    if #lines > 0 then
      blocks[#blocks + 1] = { key = key, lines = lines, message = info.id, tail = tail }
    end
  end
  add(info.id, render.heading(info, previous and previous.info, entry.parts))
  for index, part in ipairs(entry.parts) do
    if not kept or index <= kept then
      local lines = render.part(part, info)
      add(part.id, lines, not info.summary and tail_of(part, lines) or nil)
    end
  end
  if not kept then
    add(info.id .. "/end", render.ending(info))
  end
  return blocks
end

--- The title.
---@param conversation polytree.State
---@return string[]
function M.title(conversation)
  local title = conversation.session and conversation.session.title or ""
  title = title ~= "" and title:gsub("%c", " ") or "New session"
  return { "# " .. title, "" }
end

--- The blocks of everything that is loaded.
---@param conversation polytree.State
---@return polytree.Laid[]
function M.all(conversation)
  local blocks = { { key = "title", lines = M.title(conversation), message = "" } }
  if not conversation.complete then
    local key = config.values.keys.older or "<Plug>(polytree-older)"
    blocks[2] = { key = "older", lines = { ("*older messages: press %s*"):format(key), "" }, message = "" }
  end
  for index, entry in ipairs(conversation.entries) do
    vim.list_extend(blocks, M.entry(entry, conversation.entries[index - 1], conversation:kept(index)))
  end
  local undone = conversation:undone()
  if undone then
    blocks[#blocks + 1] = { key = "undone", lines = render.undone(undone, conversation:count_undone()), message = "" }
  end
  return blocks
end

return M

--- What is known of one conversation, kept current by events. No editor calls: text in, text out.
---
--- Messages are read with the cursor at which they were read; events of a message up to that cursor are
--- already in it and are passed over, so that reading and following never doubles or loses a delta.

---@class polytree.Entry
---@field info table the message
---@field parts table[] in their order
---@field by_id table<string, table>
---@field cursor integer

---@class polytree.State
---@field session_id string
---@field session? table
---@field status table
---@field entries polytree.Entry[] oldest first
---@field by_id table<string, polytree.Entry>
---@field complete boolean the first message of the session is loaded
---@field cursor integer what is known holds every event up to here
---@field error? table the last `session.error`
local State = {}
State.__index = State

local M = {}

---@param session_id string
---@return polytree.State
function M.new(session_id)
  return setmetatable({
    session_id = session_id,
    status = { type = "idle" },
    entries = {},
    by_id = {},
    complete = false,
    cursor = 0,
  }, State)
end

---@param read { info: table, parts: table[], cursor: integer }
---@return polytree.Entry
local function entry_of(read)
  local by_id = {}
  for _, part in ipairs(read.parts) do
    by_id[part.id] = part
  end
  return { info = read.info, parts = read.parts, by_id = by_id, cursor = read.cursor }
end

--- Puts messages that were read before the ones that are known. Known ones are kept when they are newer.
---@param read table[] oldest first
---@param complete boolean nothing is older
function State:prepend(read, complete)
  local entries = {}
  for _, item in ipairs(read) do
    if #self.entries == 0 then
      self.cursor = math.max(self.cursor, item.cursor)
    end
    if not self.by_id[item.info.id] then
      local entry = entry_of(item)
      self.by_id[item.info.id] = entry
      entries[#entries + 1] = entry
    end
  end
  vim.list_extend(entries, self.entries)
  self.entries = entries
  self.complete = self.complete or complete
end

--- Replaces one message by what was read anew.
---@param read table
function State:replace(read)
  local entry = entry_of(read)
  local old = self.by_id[read.info.id]
  if not old then
    return
  end
  for index, known in ipairs(self.entries) do
    if known == old then
      self.entries[index] = entry
    end
  end
  self.by_id[read.info.id] = entry
end

--- The first user message that is not loaded yet has this one after it.
---@return string?
function State:oldest()
  return self.entries[1] and self.entries[1].info.id
end

--- The undo that can still be taken back.
---@return polytree.protocol.SessionRevert?
function State:undone()
  return self.session and self.session.revert or nil
end

--- Where the undone messages begin, as an index of the entries.
---@return integer?
function State:first_undone()
  local revert = self:undone()
  if not revert then
    return nil
  end
  for index, entry in ipairs(self.entries) do
    if entry.info.id == revert.messageID then
      return index
    end
  end
  -- It is older than what is loaded.
  return 0
end

--- How many parts of an entry are not undone; nil for all of them.
---@param index integer
---@return integer?
function State:kept(index)
  local first = self:first_undone()
  if not first or index < first then
    return nil
  end
  local part = self:undone().partID
  if index == first and part then
    for position, known in ipairs(self.entries[index].parts) do
      if known.id == part then
        return position - 1
      end
    end
  end
  return 0
end

--- How many of the loaded prompts are undone.
---@return integer
function State:count_undone()
  local count = 0
  for index = math.max(self:first_undone() or #self.entries + 1, 1), #self.entries do
    count = count + (self.entries[index].info.role == "user" and 1 or 0)
  end
  return count
end

---@private
---@param info table
---@param cursor integer
function State:message_updated(info, cursor)
  local entry = self.by_id[info.id]
  if entry then
    if cursor > entry.cursor then
      entry.info = info
    end
    return
  end
  -- An older message that is not loaded: its id, a ULID, says so.
  local oldest = self:oldest()
  if cursor <= self.cursor or (oldest and not self.complete and info.id < oldest) then
    return
  end
  entry = { info = info, parts = {}, by_id = {}, cursor = 0 }
  self.by_id[info.id] = entry
  self.entries[#self.entries + 1] = entry
end

---@class polytree.Change
---@field kind "message"|"part"|"append"|"removed"|"status"|"session"|"error"|"idle"
---@field message? string
---@field part? string
---@field text? string what was appended
---@field undone? boolean another part of the conversation is undone than before
---@field resolve? boolean the part has a text that must be read with `session.message`

--- Whether a value of a part travelled as a reference.
---@param part table
---@return boolean
local function has_reference(part)
  local state = part.state or {}
  for _, value in ipairs({ part.text or false, state.output or false, state.error or false, state.input or false }) do
    if type(value) == "table" and value.ref and value.bytes then
      return true
    end
  end
  return false
end

--- Takes one event in. Returns what changed, or nil when it was known or is none of this conversation's.
---@param event table
---@return polytree.Change?
function State:apply(event)
  local properties = event.properties
  local kind = event.type
  if kind == "message.updated" then
    self:message_updated(properties.info, event.cursor)
    return self.by_id[properties.info.id] and { kind = "message", message = properties.info.id } or nil
  elseif kind == "message.part.updated" then
    local part = properties.part
    local entry = self.by_id[part.messageID]
    if not entry or event.cursor <= entry.cursor then
      return nil
    end
    if entry.by_id[part.id] then
      for index, known in ipairs(entry.parts) do
        if known.id == part.id then
          entry.parts[index] = part
        end
      end
    else
      entry.parts[#entry.parts + 1] = part
    end
    entry.by_id[part.id] = part
    return { kind = "part", message = part.messageID, part = part.id, resolve = has_reference(part) }
  elseif kind == "message.part.delta" then
    local entry = self.by_id[properties.messageID]
    local part = entry and entry.by_id[properties.partID]
    if not part or event.cursor <= entry.cursor then
      return nil
    end
    if properties.field == "raw" then
      part.state.raw = (part.state.raw or "") .. properties.delta
      return { kind = "part", message = properties.messageID, part = part.id }
    end
    -- Appended pieces are joined when the text is needed: 2,000 deltas must not copy the text 2,000 times.
    part.pieces = part.pieces or { part[properties.field] or "" }
    part.pieces[#part.pieces + 1] = properties.delta
    return { kind = "append", message = properties.messageID, part = part.id, text = properties.delta }
  elseif kind == "message.part.removed" then
    local entry = self.by_id[properties.messageID]
    if not entry or not entry.by_id[properties.partID] then
      return nil
    end
    entry.by_id[properties.partID] = nil
    entry.parts = vim.tbl_filter(function(part)
      return part.id ~= properties.partID
    end, entry.parts)
    return { kind = "removed", message = properties.messageID, part = properties.partID }
  elseif kind == "message.removed" then
    local entry = self.by_id[properties.messageID]
    if not entry then
      return nil
    end
    self.by_id[properties.messageID] = nil
    self.entries = vim.tbl_filter(function(known)
      return known ~= entry
    end, self.entries)
    return { kind = "removed", message = properties.messageID }
  elseif kind == "session.status" then
    self.status = properties.status
    return { kind = "status" }
  elseif kind == "session.updated" then
    local before = self:undone()
    self.session = properties.info
    return { kind = "session", undone = not vim.deep_equal(before, self:undone()) }
  elseif kind == "session.error" then
    self.error = properties.error
    return { kind = "error" }
  elseif kind == "session.idle" then
    return { kind = "idle" }
  end
  return nil
end

--- The text of a text or reasoning part, with the deltas that came since it was sent whole.
---@param part table
---@return string
function M.text(part)
  if part.pieces then
    part.text = table.concat(part.pieces)
    part.pieces = nil
  end
  return type(part.text) == "string" and part.text or ""
end

return M

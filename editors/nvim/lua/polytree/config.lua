--- The settings of the plugin, with their defaults.
local M = {}

---@class polytree.Config
M.defaults = {
  -- What is started for each Neovim. Only your own configuration can change it.
  command = { "polytree", "stdio" },
  -- The directory whose sessions are shown; nil is the working directory of Neovim.
  directory = nil, ---@type string?
  -- The agent and the model ("provider/model") of new sessions; nil is what the daemon would use.
  agent = nil, ---@type string?
  model = nil, ---@type string?
  -- The variant of the model, such as "high".
  variant = nil, ---@type string?
  -- Where the conversation opens: "right", "left", "below", "above", "tab" or "current".
  position = "right",
  -- Width (or height) of the conversation, in columns (or lines); below 1 a share of the screen.
  size = 0.4,
  -- How many messages are loaded at first, and each time `<Plug>(polytree-older)` asks for more.
  page = 50,
  -- Fold what a tool was given and what it answered.
  fold_tools = true,
  -- Fold what the model thought.
  fold_reasoning = true,
  -- Fold summaries of the conversation.
  fold_summaries = true,
  -- Announce unsaved text of buffers below the directory, so that the model reads what you see.
  announce_buffers = true,
  -- Buffers above this size are not announced, in bytes.
  announce_limit = 4 * 1024 * 1024,
  -- Read buffers without unsaved text anew when a tool or a command has changed their file.
  reload = true,
  -- How a question of a tool is shown: "float", or "notify" for a message alone.
  questions = "float",
  -- Key mappings of the conversation and the prompt; false switches one off.
  keys = {
    submit = "<C-s>",
    allow = "ga",
    always = "gA",
    reject = "gr",
    abort = "<C-c>",
    prompt = "i",
    older = "gO",
    -- In a review: decide about the hunk under the cursor.
    keep = "<LocalLeader>k",
    undo = "<LocalLeader>u",
    close = "q",
  },
  -- The least severe line that is logged: "debug", "info", "warn" or "error".
  log_level = "info",
}

---@type polytree.Config
M.values = vim.deepcopy(M.defaults)

local POSITIONS = { right = true, left = true, below = true, above = true, tab = true, current = true }
local OPTIONAL = { directory = "string", agent = "string", model = "string", variant = "string" }

---@param given table
---@param defaults table
---@param path string
---@return string? what is wrong
local function check(given, defaults, path)
  for key, value in pairs(given) do
    local name = path .. tostring(key)
    local default = defaults[key]
    local expected = default == nil and path == "" and OPTIONAL[key] or type(default)
    if expected == "nil" then
      return ("unknown setting `%s`; `:help polytree-settings` lists them"):format(name)
    end
    local is_off = path == "keys." and value == false
    if type(value) ~= expected and not is_off then
      return ("`%s` must be a %s, not %s"):format(name, expected, vim.inspect(value))
    end
    if expected == "table" and not vim.islist(default) then
      local why = check(value, default, name .. ".")
      if why then
        return why
      end
    end
  end
  return nil
end

--- Replaces the settings by the defaults with `given` over them.
---@param given? table
---@return string? what is wrong; nothing is changed then
function M.set(given)
  given = given or {}
  local why = check(given, M.defaults, "")
  if why then
    return why
  end
  local values = vim.tbl_deep_extend("force", vim.deepcopy(M.defaults), given)
  if not vim.islist(values.command) or #values.command == 0 then
    return "`command` must be a list with the program first"
  end
  if not POSITIONS[values.position] then
    return ("`position` must be one of right, left, below, above, tab, current, not %s"):format(
      vim.inspect(values.position)
    )
  end
  if not ({ debug = 1, info = 1, warn = 1, error = 1 })[values.log_level] then
    return "`log_level` must be debug, info, warn or error"
  end
  if values.questions ~= "float" and values.questions ~= "notify" then
    return '`questions` must be "float" or "notify"'
  end
  if values.model and not values.model:match("^[^/]+/.+") then
    return '`model` must be "provider/model"'
  end
  M.values = values
  return nil
end

return M

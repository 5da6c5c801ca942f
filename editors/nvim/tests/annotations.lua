--- Every type that an annotation names is defined: in the plugin, in the types generated from the contract, or by Lua.
local harness = require("polytree_test.harness")

local plugin = vim.fs.dirname(vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, "S").source:sub(2))))

local KNOWN = {}
for word in ("any nil boolean number integer string table function userdata thread fun true false self"):gmatch("%S+") do
  KNOWN[word] = true
end

--- The words of a type that are names of types. Stops where its description begins.
---@param text string
---@param found fun(name: string)
---@return string rest
local function names(text, found)
  local at, depth, wants = 1, 0, true
  while at <= #text do
    local rest = text:sub(at)
    local quoted = rest:match('^"[^"]*"') or rest:match("^'[^']*'") or rest:match("^`[^`]*`")
    local field = rest:match("^[%a_][%w_]*%??%s*:%s*") or rest:match("^%[[^%]]*%]%s*:%s*")
    local name = rest:match("^[%a_][%w_.]*")
    local space = rest:match("^%s+")
    if quoted then
      at, wants = at + #quoted, false
    elseif depth > 0 and field then
      at, wants = at + #field, true
    elseif name then
      if depth == 0 and not wants then
        return rest
      end
      -- `fun(a, b)` has names without types.
      if not (depth > 0 and rest:match("^[%a_][%w_]*%s*[,)]") and text:sub(1, at):match("fun%([^()]*$")) then
        found(name)
      end
      at, wants = at + #name, false
    elseif space then
      at = at + #space
      local next_char = text:sub(at, at)
      if depth == 0 and not wants and not next_char:match("[|]") then
        return text:sub(at)
      end
    else
      local character = rest:sub(1, 1)
      if character:match("[({<%[]") then
        depth = depth + 1
      elseif character:match("[)}>%]]") then
        depth = depth - 1
      elseif depth == 0 and not character:match("[|?:,%.]") then
        return rest
      end
      wants = character:match("[|:,(<{%[]") ~= nil
      at = at + 1
    end
  end
  return ""
end

harness.test("annotations name types that are defined", function()
  local defined, used = vim.deepcopy(KNOWN), {}
  for name, kind in vim.fs.dir(plugin .. "/lua/polytree", { depth = 2 }) do
    if kind == "file" then
      for number, line in ipairs(vim.split(harness.read(plugin .. "/lua/polytree/" .. name), "\n")) do
        local tag, rest = line:match("^%s*%-%-%-@(%a+)%s+(.*)$")
        local function use(type_name)
          used[#used + 1] = { type_name, ("%s:%d: %s"):format(name, number, line) }
        end
        if tag == "class" then
          local class, parent = rest:match("^%(?%a-%)?%s*([%w_.]+)%s*:?%s*([%w_.]*)")
          defined[class] = true
          if parent ~= "" then
            use(parent)
          end
        elseif tag == "alias" then
          local alias, text = rest:match("^([%w_.]+)%s+(.*)$")
          defined[alias or rest] = true
          names(text or "", use)
        elseif tag == "field" or tag == "param" then
          names((rest:gsub("^private%s+", ""):gsub("^%[[^%]]*%]%s+", "x "):match("^%S+%s+(.*)$")) or "", use)
        elseif tag == "type" or tag == "return" then
          names(rest, use)
        end
      end
    end
  end
  local missing = {}
  for _, use in ipairs(used) do
    -- `vim.` begins Neovim's own.
    if not defined[use[1]] and not vim.startswith(use[1], "vim.") then
      missing[#missing + 1] = use[1] .. "  in  " .. use[2]
    end
  end
  harness.equal(missing, {})
  harness.equal(#used > 500, true, "too few annotations were found")
end)

--- Text to a file, whole or not at all: written beside its name, then renamed. The one place where
-- our modules write. A link, a device or a pipe is written through, never replaced.
local M = {}

local function fail(path, problem)
    -- the system's message begins with the name of the file beside it
    local name, why = require("oomph.term").clean(path), tostring(problem):gsub("^.*%.part: ", "")
    error(("cannot write %s: %s"):format(name, why), 0)
end

--- Write a file.
-- @param path its name
-- @param text a string, or a function that is given write(string) and calls it as often as it likes
function M.write(path, text)
    if type(path) ~= "string" or path == "" then
        error('a file is named by text, as in "table.csv"', 0)
    elseif not io then
        error(("cannot write %s: no files in the sandbox"):format(path), 0)
    end
    local found, core = pcall(require, "oomph.core")
    local in_place = found and not core.is_plain(path)      -- a link, a device, a pipe
    local beside = in_place and path or path .. ".part"
    local file, problem = io.open(beside, "w")
    if not file then
        fail(path, problem)
    end
    local written = true
    local function write(s)
        if written then
            written, problem = file:write(s)
        end
    end
    local produce = type(text) == "function" and text or function() write(text) end
    local function give_up(reason)
        if io.type(file) == "file" then
            file:close()
        end
        if not in_place then
            os.remove(beside)
        end
        return reason
    end
    -- Ctrl-C raises again at every instruction after the first, but not in the handler of an error
    local ok, raised = xpcall(produce, give_up, write)
    if not ok then
        error(give_up(raised), 0)
    end
    local closed, why = file:close()
    if written and closed then
        if in_place then
            return
        end
        local renamed
        renamed, why = os.rename(beside, path)
        if renamed then
            return
        end
    end
    give_up()
    fail(path, problem or why)
end

return M

--- The session as something to keep: saved as a script that runs, and modules read anew.
local host = require("oomph.host")

local M = {}

--- Write the lines that worked to a file, as a script that gives the same answers.
-- @param path the file
function M.save(path)
    local out, n = { "#!/usr/bin/env oomph" }, 0
    local lines, forgotten = host.lines()
    for _, line in ipairs(lines) do
        if not line.text:match("^%s*save%f[^%w_]") then
            n = n + 1
            -- what the prompt keeps and shows by itself, a script has to
            out[#out + 1] = (line.kept and "_ = " or "") .. line.text
            out[#out + 1] = line.shown and "print(_)" or nil
        end
    end
    require("oomph.file").write(path, table.concat(out, "\n") .. "\n")
    local said = ('%d %s in %s; dofile "%s" runs %s again'):format(n,
        n == 1 and "line" or "lines", path, path, n == 1 and "it" or "them")
    return forgotten == 0 and said
        or ("%s; %d before them are no longer kept"):format(said, forgotten)
end

--- Open the last block in the editor; what comes back stands at the prompt.
function M.edit()
    if not host.edit() then return "edit() is for a terminal" end
end

local in_c = {}
for _, name in ipairs { "_G", "package", "coroutine", "table", "io", "os", "string", "math", "utf8",
    "debug", "oomph", "oomph.core", "oomph.host" } do
    in_c[name] = true
end

--- Forget every module that was read from a Lua file, so that an edit of it is seen.
function M.reload()
    local n = 0
    for name in pairs(package.loaded) do
        if not in_c[name] then
            package.loaded[name] = nil
            n = n + 1
        end
    end
    return "modules to be read anew: " .. n
end

return M

-- RS256 with luaossl; a checked token is kept until the earlier of its expiry and 60 s; a limit per client and minute.
local cjson = require "cjson.safe"
local lrucache = require "resty.lrucache"
local pkey = require "openssl.pkey"
local digest = require "openssl.digest"

local function unbase64url(text)
    return ngx.decode_base64((text:gsub("-", "+"):gsub("_", "/")) .. ("="):rep(-#text % 4))
end

return function(pem, issuer, limit)
    local file = assert(io.open(pem))
    local key = pkey.new(file:read("*a"))
    file:close()
    local checked = lrucache.new(100000)
    local counts = ngx.shared.counts

    local function claims_of(token)
        local head, payload, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
        if not head then return nil end
        local header = cjson.decode(unbase64url(head) or "")
        local bytes = unbase64url(signature)
        if not header or header.alg ~= "RS256" or not bytes then return nil end
        local hash = digest.new("sha256")
        hash:update(head .. "." .. payload)
        if not key:verify(bytes, hash) then return nil end
        return cjson.decode(unbase64url(payload) or "")
    end

    return function()
        local credential = ngx.var.http_authorization
        local client = credential and checked:get(credential)
        if not client then
            local token = credential and credential:match("^Bearer (.+)$")
            local claims = token and claims_of(token)
            local now = ngx.time()
            if not claims or claims.iss ~= issuer or claims.aud ~= issuer or (claims.exp or 0) <= now then
                return ngx.exit(401)
            end
            client = claims.sub
            checked:set(credential, client, math.min(60, claims.exp - now))
        end
        local counted = counts:incr(client, 1, 0, 60)
        if counted and counted > limit then return ngx.exit(429) end
    end
end

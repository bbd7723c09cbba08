"""The scopes of the provider's API, as its documentation lists them."""

KNOWN_SCOPES = {
    "read": "View campaigns, balances and triggers",
    "write": "Send SMS and MMS, create campaigns",
    "admin": "Manage webhooks and settings, delete",
    "gifting:send": "Send gifts",
    "gifting:links": "Create gift links",
    "gifting:webhooks": "Manage gifting webhooks",
    "gifting:fraud.read": "View fraud rules",
    "gifting:fraud.write": "Change fraud rules",
    "gifting:trace": "Trace gifts",
}

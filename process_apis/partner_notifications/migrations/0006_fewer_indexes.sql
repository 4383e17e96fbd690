-- Nobody asks for messages by partner and age; every message was written into it three times.
drop index partner_notifications.message_partner;

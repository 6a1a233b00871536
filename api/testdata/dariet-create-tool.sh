curl -X POST https://your-domain.com/api/tools \
-H "Authorization: Bearer <token>" \
-H "Content-Type: application/json" \
-d '{
"name": "check_order_status",
"description": "Look up the current status of a customer order by order ID. Returns status, estimated delivery, and tracking number.",
"parameters": {
"properties": {
"order_id": {
"type": "string",
"description": "The order ID provided by the customer (e.g. ORD-12345)"
}
},
"required": ["order_id"]
},
"webhook_url": "https://your-api.com/orders/status",
"webhook_method": "POST",
"headers": {
"Authorization": "Bearer your-api-key"
},
"timeout_secs": 8
}'

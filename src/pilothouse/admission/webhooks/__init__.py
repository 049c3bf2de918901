"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook (apiserver pkg/admission/plugin/webhook)."""

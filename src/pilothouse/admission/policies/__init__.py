"""ValidatingAdmissionPolicy and MutatingAdmissionPolicy (apiserver pkg/admission/plugin/policy)."""
